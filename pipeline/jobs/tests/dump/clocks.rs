//! Clocks that are wrong: told of at the start, with what was decided by ours, and in no one's way.

use std::sync::Arc;

use archive::Date;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::{Bench, Intruder, MIDNIGHT, NIGHT, now};
use crate::impostor::{forward, request};
use crate::writes::Writes;

/// Stands before the server, in whose answers it is so late.
async fn with_clock(target: String, time: DateTime<Utc>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, target.clone(), time));
        }
    });
    url
}

async fn serve(client: TcpStream, target: String, time: DateTime<Utc>) {
    let mut client = BufReader::new(client);
    let Some((head, body)) = request(&mut client).await else { return };
    let answer = forward(&target, &head, &body).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let lines =
        std::str::from_utf8(&answer[..end]).unwrap().split("\r\n").map(|line| match line.starts_with("Date:") {
            true => format!("Date: {}", time.format("%a, %d %b %Y %H:%M:%S GMT")),
            false => line.to_owned(),
        });
    let head = lines.collect::<Vec<_>>().join("\r\n");
    client.write_all(&[head.as_bytes(), &answer[end..]].concat()).await.unwrap();
    client.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_are_told_in_warnings_and_in_the_outcome_with_the_day_that_ours_decides() {
    let bench = Bench::with(&format!("m v=1i {MIDNIGHT}\n")).await;
    let hours = TimeDelta::hours(3);
    // Our clock is half an hour past midnight: who is three hours behind has another day.
    let table = [
        (None, now() + TimeDelta::seconds(20), None),
        (Some(now()), now() - TimeDelta::seconds(40), None),
        (None, now() + hours, Some("it would be none")),
        (Some(now() + hours), now(), Some("it would be none")),
        (None, now() - hours, Some("; by that of InfluxDB at $URL/ it would be 2016-06-10")),
        (Some(now() - hours), now(), Some("; by that of file://$FOLDER/archive it would be 2016-06-10")),
    ];
    for (of_store, of_influx, said) in table {
        let url = with_clock(bench.influxd.http_address(), of_influx).await;
        let store = Writes::new(&bench.store);
        *store.time.lock().unwrap() = of_store;
        let told = Intruder::new("nothing", || ());
        let mut config = bench.config(&["m"]);
        config.date = Date::Yesterday.into();
        let progress = Arc::<Intruder<_>>::clone(&told);
        let outcome = jobs::dump::run(config, now(), Some(store), bench.reading_at(&url), progress).await.unwrap();
        assert_eq!((outcome.dumps[0].records, outcome.container.as_deref()), (1, Some(NIGHT)));
        let Some(said) = said else {
            assert!(outcome.clocks.is_empty(), "{outcome:?}");
            continue;
        };
        let [apart, decided] = outcome.clocks.as_slice() else { panic!("{outcome:?}") };
        assert!(apart.starts_with("the clocks differ by "), "{apart}");
        assert!(apart.contains(&format!("InfluxDB at {url}/ {}", of_influx.format("%Y-%m-%d %H:%M"))), "{apart}");
        let folder = bench.folder.path().canonicalize().unwrap().display().to_string();
        let said = said.replace("$URL", &url).replace("$FOLDER", &folder);
        let said = if said.ends_with("none") { String::new() } else { said };
        assert_eq!(*decided, format!("yesterday is {NIGHT}, by the clock of this machine{said}"));
        for line in &outcome.clocks {
            assert!(outcome.summary().contains(&format!("\nwarning: {line}")), "{}", outcome.summary());
            let warning = format!("Warning({line:?})");
            assert!(told.reported.lock().unwrap().contains(&warning), "{warning}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_named_depends_on_no_clock() {
    let bench = Bench::with(&format!("m v=1i {MIDNIGHT}\n")).await;
    let outcome = bench.dump(bench.config(&["m"])).await.unwrap();
    // The test says that it is the year 2016.
    assert_eq!(outcome.clocks.len(), 1, "{:?}", outcome.clocks);
}
