//! Several dumps at once: as many as are allowed, over connections that they share.

use std::sync::{Arc, Mutex};

use test_support::FaultProxy;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND};
use crate::impostor::{forward, request};

const MEASUREMENTS: [&str; 4] = ["a", "b", "c", "d"];

async fn bench() -> Bench {
    let lines = MEASUREMENTS.map(|name| format!("{name},h=a v=1i {MIDNIGHT}\n{name},h=b v=2i {}\n", MIDNIGHT + SECOND));
    Bench::with(&lines.concat()).await
}

/// How many queries for points are under way, and how many were at most.
type Count = Arc<Mutex<(usize, usize)>>;

/// Answers a query for points when as many of them as `together` have come.
async fn patient_server(target: String, together: usize) -> (String, Count) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (count, barrier) = (Count::default(), Arc::new(Barrier::new(together)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, target.clone(), Arc::clone(&counted), Arc::clone(&barrier)));
        }
    });
    (url, count)
}

async fn serve(client: TcpStream, target: String, count: Count, barrier: Arc<Barrier>) {
    let mut client = BufReader::new(client);
    let Some((head, body)) = request(&mut client).await else { return };
    let of_points = String::from_utf8_lossy(&body).contains("%3Afield");
    if of_points {
        let mut count = count.lock().unwrap();
        *count = (count.0 + 1, count.1.max(count.0 + 1));
    }
    if of_points {
        barrier.wait().await;
    }
    let answer = forward(&target, &head, &body).await;
    if of_points {
        count.lock().unwrap().0 -= 1;
    }
    client.write_all(&answer).await.unwrap();
    client.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_dumps_as_are_allowed_are_made_at_once_and_no_more() {
    let bench = bench().await;
    for parallel in [1, 2, 4] {
        let (url, count) = patient_server(bench.influxd.http_address(), parallel).await;
        let mut config = bench.config(&MEASUREMENTS);
        config.parallel = parallel;
        let outcome = bench.dump_with(config, bench.influx_at(&url), Arc::new(())).await.unwrap();
        let dumped: Vec<&str> = outcome.dumps.iter().map(|dump| dump.measurement.as_str()).collect();
        assert_eq!((dumped.as_slice(), count.lock().unwrap().1), (&MEASUREMENTS[..], parallel));
        for name in MEASUREMENTS {
            let object = format!("{NIGHT}/influxdb/{name}_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
            assert!(bench.text(&object).await.contains("\"h\":\"b\",\"v\":2"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_share_their_connections() {
    let bench = bench().await;
    let proxy = FaultProxy::start(bench.influxd.http_address()).await;
    let mut config = bench.config(&MEASUREMENTS);
    config.parallel = 2;
    let outcome = bench.dump_with(config, bench.influx_at(&proxy.url()), Arc::new(())).await.unwrap();
    assert_eq!(outcome.dumps.len(), 4);
    // Some thirty questions are asked for four dumps. A connection is free again a moment after its answer was read, and a
    // question that comes within that moment opens another one.
    assert!(proxy.connections() <= 10, "{} connections", proxy.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_alike_do_not_stand_in_each_others_way() {
    let names = ["a b", "a_b", "a/b", "a:b"];
    let lines = names.map(|name| format!("{} v=1i {MIDNIGHT}\n", name.replace(' ', "\\ ")));
    let bench = Bench::with(&lines.concat()).await;
    let outcome = bench.dump(bench.config(&names)).await.unwrap();
    assert_eq!((outcome.dumps.len(), outcome.failures()), (4, &[][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_does_not_keep_the_others_and_leaves_nothing_in_the_spool() {
    let bench = bench().await;
    let outcome = bench.dump(bench.config(&["a", "nowhere", "c"])).await.unwrap();
    assert_eq!(outcome.dumps.len(), 2);
    assert!(outcome.failures()[0].contains("measurement nowhere does not exist"), "{outcome:?}");
}
