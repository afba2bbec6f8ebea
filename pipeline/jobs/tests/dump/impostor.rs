//! Answers that a real server gives only on its worst days: errors in their middle, ends that are none, rows out of
//! order. An impostor gives them to the first queries for points, and passes everything else on to the real server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jobs::Kind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND};

type Point = (i64, &'static str, i64);

/// Second, tag and field; the second instant has two series.
const POINTS: [Point; 4] = [(0, "a", 1), (1, "b", 2), (1, "a", 3), (2, "a", 4)];

async fn bench() -> Bench {
    let line = |(second, host, value)| format!("m,h={host} v={value}i {}\n", MIDNIGHT + second * SECOND);
    Bench::with(&POINTS.map(line).concat()).await
}

/// What the impostor makes of the points that are asked for.
type Answer = fn(&[Point]) -> Vec<u8>;

/// Rows of time, tag and field; then whether the message says that more follows.
fn message(rows: &[Point], partial: bool) -> Vec<u8> {
    let array = |items: usize| vec![0x90 | items as u8];
    let map = |items: usize| vec![0x80 | items as u8];
    let integer = |number: i64| [&[0xd3][..], &number.to_be_bytes()].concat();
    let boolean = vec![0xc2 | u8::from(partial)];
    let rows = rows.iter().map(|&(time, host, value)| {
        let time = integer(MIDNIGHT + time * SECOND);
        [array(3), time, text(host), integer(value)].concat()
    });
    let rows: Vec<Vec<u8>> = rows.collect();
    let columns = [text("columns"), array(3), text("time"), text("h"), text("v")].concat();
    let values = [text("values"), array(rows.len()), rows.concat()].concat();
    let series = [map(3), text("name"), text("m"), columns, values].concat();
    let result = [map(2), text("series"), array(1), series, text("partial"), boolean].concat();
    [map(1), text("results"), array(1), result].concat()
}

fn error(words: &str) -> Vec<u8> {
    [&[0x81][..], &text("results"), &[0x91, 0x81], &text("error"), &text(words)].concat()
}

/// A row with nothing but its time.
fn one_column() -> Vec<u8> {
    let columns = [&text("columns")[..], &[0x91], &text("time")].concat();
    let values = [&text("values")[..], &[0x91, 0x91, 0xd3], &MIDNIGHT.to_be_bytes()].concat();
    [&[0x81][..], &text("results"), &[0x91, 0x81], &text("series"), &[0x91, 0x82], &columns, &values].concat()
}

/// A string of MessagePack of less than 32 bytes.
fn text(text: &str) -> Vec<u8> {
    [&[0xa0 | u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

/// Listens before the server at `target`, and gives the queries for points these answers first.
async fn impostor(target: String, answers: Vec<Answer>) -> (String, Arc<Mutex<VecDeque<Answer>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let left = Arc::new(Mutex::new(VecDeque::from(answers)));
    let answers = Arc::clone(&left);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, target.clone(), Arc::clone(&answers)));
        }
    });
    (url, left)
}

/// The head of a request, without the empty line after it, and its body; `None` where nobody asks any more.
pub(crate) async fn request(client: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await.unwrap() == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.unwrap();
    Some((head, body))
}

/// What the real server answers; the connection to it ends with that.
pub(crate) async fn forward(target: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut server = TcpStream::connect(target).await.unwrap();
    let head = format!("{head}Connection: close\r\n\r\n");
    server.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.unwrap();
    answer
}

/// One request; the connection closes after it.
async fn serve(client: TcpStream, target: String, answers: Arc<Mutex<VecDeque<Answer>>>) {
    let mut client = BufReader::new(client);
    let Some((head, body)) = request(&mut client).await else { return };

    let body_text = String::from_utf8_lossy(&body);
    // The query for points is the one with fields; its first time is the one from which on it asks.
    let from = body_text.contains("%3Afield").then(|| {
        let time = body_text.split_once("time+%3E%3D+").unwrap().1.split('+').next().unwrap();
        (time.parse::<i64>().unwrap() - MIDNIGHT) / SECOND
    });
    let points: Vec<Point> =
        POINTS.into_iter().filter(|&(second, ..)| from.is_some_and(|from| second >= from)).collect();
    let answer = from.and_then(|_| answers.lock().unwrap().pop_front()).map(|answer| answer(&points));
    let answer = match answer {
        Some(answer) => {
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
            [head.as_bytes(), &answer].concat()
        }
        None => forward(&target, &head, &body).await,
    };
    client.write_all(&answer).await.unwrap();
    client.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_before_its_end_is_asked_again_and_comes_once() {
    let bench = bench().await;
    let whole = bench.dumped("m").await;
    let answers: Vec<Answer> = vec![
        // An error in the middle of an instant.
        |points| [message(&points[..2], true), error("engine: read failed")].concat(),
        // A proper end of the connection although more was to follow.
        |points| message(&points[..2], true),
        // The end in the middle of a row.
        |points| message(points, false).split_at(70).0.to_vec(),
        |points| message(&points[..1], true),
    ];
    let (url, left) = impostor(bench.influxd.http_address(), answers).await;
    let outcome = bench.dump_with(bench.config(&["m"]), bench.influx_at(&url), Arc::new(())).await.unwrap();
    assert_eq!(bench.text(outcome.dumps[0].object.as_ref().unwrap()).await, whole);
    assert!(left.lock().unwrap().is_empty(), "not all answers were asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_no_sense_is_not_stored() {
    let bench = bench().await;
    let table: [(Answer, &str); 2] = [
        (|_| message(&[POINTS[1], POINTS[0]], false), "is not in order of time"),
        (|_| one_column(), "has 1 columns where 3 were asked for"),
    ];
    for (answer, reason) in table {
        let (url, _) = impostor(bench.influxd.http_address(), vec![answer]).await;
        let error = bench.dump_with(bench.config(&["m"]), bench.influx_at(&url), Arc::new(())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(bench.objects(NIGHT).await.is_empty());
    }
}
