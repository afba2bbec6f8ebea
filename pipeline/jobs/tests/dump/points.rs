//! The dump holds exactly the points that separate queries give.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::bench::{Bench, MIDNIGHT, SECOND, records};

/// Series of the large measurement: the tags as they are, and as the line protocol has them.
const SERIES: [([&str; 2], &str); 12] = [
    (["a", "b"], "ho\\ st=a,zone=b"),
    (["a", ""], "ho\\ st=a"),
    (["", "b"], "zone=b"),
    (["", ""], ""),
    (["a b,c=d", "b"], "ho\\ st=a\\ b\\,c\\=d,zone=b"),
    (["\"quoted\"", "back\\slash"], "ho\\ st=\"quoted\",zone=back\\slash"),
    (["été", "夜"], "ho\\ st=été,zone=夜"),
    (["a!", "b"], "ho\\ st=a!,zone=b"),
    (["a,", "b"], "ho\\ st=a\\,,zone=b"),
    (["A", "Z"], "ho\\ st=A,zone=Z"),
    (["10", "9"], "ho\\ st=10,zone=9"),
    (["9", "10"], "ho\\ st=9,zone=10"),
];

const INSTANTS: i64 = 42_000;

/// A record, declared here once more: the witness does not use the dump's own types. Floats are kept as bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    time: i64,
    /// `ho st` and `zone`, empty where the series has none.
    tags: [String; 2],
    float: Option<u64>,
    integer: Option<i64>,
    boolean: Option<bool>,
    string: Option<String>,
}

/// The line of a point; what it holds follows from its number alone.
fn line(out: &mut String, instant: i64, series: usize) {
    let number = instant * SERIES.len() as i64 + series as i64;
    let mut fields = Vec::new();
    if number % 7 != 0 {
        let float = match number % 11 {
            0 => "5".to_owned(),
            1 => "-0.0".to_owned(),
            2 => "5e-324".to_owned(),
            3 => format!("{number}e200"),
            4 => format!("-{number}e-9"),
            _ => format!("{}", number as f64 / 3.0),
        };
        fields.push(format!("fl\\ oat={float}"));
    }
    if number % 5 != 0 {
        let integer = match number % 13 {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => 5,
            _ => number * 7_777_777_777,
        };
        fields.push(format!("in\\,te\\=ger={integer}i"));
    }
    if number % 3 != 0 {
        fields.push(format!("boolean={}", number % 2 == 0));
    }
    if number % 4 != 0 || fields.is_empty() {
        let string = match number % 6 {
            0 => String::new(),
            1 => "quote \\\" backslash \\\\ comma , equals =".to_owned(),
            2 => "two\nlines\tand \u{1} control".to_owned(),
            3 => "été 夜 \u{1f319} \u{2028}".to_owned(),
            _ => format!("plain {number}"),
        };
        fields.push(format!("\"string\"=\"{string}\""));
    }
    let tags = SERIES[series].1;
    let comma = if tags.is_empty() { "" } else { "," };
    let time = MIDNIGHT + instant * 2 * SECOND + instant % 3 * 500_000_000;
    writeln!(out, "big\\ m\\,e{comma}{tags} {} {time}", fields.join(",")).unwrap();
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a plain query in JSON says, hour by hour. Its floats are read by the same means as those of the dump.
async fn witnessed(bench: &Bench) -> Vec<Point> {
    let mut points = Vec::new();
    for hour in 0..24 {
        let (start, end) = (MIDNIGHT + hour * 3600 * SECOND, MIDNIGHT + (hour + 1) * 3600 * SECOND);
        let query = format!(
            "SELECT \"fl oat\", \"in,te=ger\", boolean, \"\\\"string\\\"\" FROM \"big m,e\" \
             WHERE time >= {start} AND time < {end} GROUP BY *"
        );
        let answer = bench.influxd.query("sensu_db", &query).await;
        let Some(series) = answer["results"][0]["series"].as_array() else { continue };
        for one in series {
            let tags = [text_of(&one["tags"]["ho st"]), text_of(&one["tags"]["zone"])];
            for row in one["values"].as_array().unwrap() {
                points.push(Point {
                    time: row[0].as_i64().unwrap(),
                    tags: tags.clone(),
                    float: row[1].as_f64().map(f64::to_bits),
                    integer: row[2].as_i64(),
                    boolean: row[3].as_bool(),
                    string: row[4].as_str().map(str::to_owned),
                });
            }
        }
    }
    points.sort();
    points
}

/// A record of the dump; what it must not have is an error.
fn point(record: &str) -> Point {
    let mut members: BTreeMap<String, Value> = serde_json::from_str(record).unwrap();
    let time = text_of(&members.remove("time").unwrap());
    let point = Point {
        time: chrono::DateTime::parse_from_rfc3339(&time).unwrap().timestamp_nanos_opt().unwrap(),
        tags: ["ho st", "zone"].map(|tag| members.remove(tag).map(|value| text_of(&value)).unwrap_or_default()),
        float: members.remove("fl oat").map(|value| {
            assert!(value.is_f64(), "a float must look like one: {record}");
            value.as_f64().unwrap().to_bits()
        }),
        integer: members.remove("in,te=ger").map(|value| value.as_i64().unwrap()),
        boolean: members.remove("boolean").map(|value| value.as_bool().unwrap()),
        string: members.remove("\"string\"").map(|value| value.as_str().unwrap().to_owned()),
    };
    assert!(members.is_empty(), "more than was written: {record}");
    point
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_million_points_are_there_once_each_and_in_order() {
    let bench = Bench::start().await;
    for from in (0..INSTANTS).step_by(1000) {
        let mut lines = String::new();
        for instant in from..from + 1000 {
            for series in 0..SERIES.len() {
                line(&mut lines, instant, series);
            }
        }
        bench.influxd.write("sensu_db", &lines).await;
    }
    bench.load(crate::bench::NIGHT).await;

    let text = bench.dumped("big m,e").await;
    let records = records(&text);
    assert_eq!(records.len(), INSTANTS as usize * SERIES.len());
    let mut dumped: Vec<Point> = records.iter().map(|record| point(record)).collect();

    // Time first, then the series key, which escapes commas, spaces and equal signs.
    let escape = |text: &str| text.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ");
    let keys: Vec<(i64, String)> = dumped
        .iter()
        .map(|point| {
            let tags = ["ho st", "zone"].into_iter().zip(&point.tags).filter(|(_, value)| !value.is_empty());
            let tags: String = tags.map(|(name, value)| format!(",{}={}", escape(name), escape(value))).collect();
            (point.time, format!("big\\ m\\,e{tags}"))
        })
        .collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "the order is not strict");
    let names = "\"boolean\"…\"fl oat\"…\"ho st\"…\"in,te=ger\"…\"zone\"";
    let ordered = |record: &String| names.split('…').filter_map(|name| record.find(&format!("{name}:"))).is_sorted();
    assert!(records.iter().all(ordered), "members are not in byte order");

    let witnessed = witnessed(&bench).await;
    assert_eq!(witnessed.len(), dumped.len());
    dumped.sort();
    if let Some((left, right)) = dumped.iter().zip(&witnessed).find(|(left, right)| left != right) {
        panic!("dumped {left:?}\nqueried {right:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_do_not_fit_into_memory_give_the_same_bytes() {
    let mut lines = String::new();
    // Many series at one instant, between quieter ones; written in an order of their own.
    for number in 0..20_000_i64 {
        let series = number * 7919 % 20_000;
        writeln!(lines, "many,host=h{series},dc=d{} value={number}i {}", series % 7, MIDNIGHT + SECOND).unwrap();
    }
    for instant in [0, 2, 3] {
        for series in 0..10 {
            writeln!(lines, "many,host=h{series} value=1i {}", MIDNIGHT + instant * SECOND).unwrap();
        }
    }
    let bench = Bench::with(&lines).await;

    let in_memory = bench.dumped("many").await;
    let mut tiny = bench.config(&["many"]);
    tiny.buffer_bytes = 20_000;
    let outcome = bench.dump(tiny).await.unwrap();
    assert!(outcome.dumps[0].spills > 32, "only {} runs were spilled", outcome.dumps[0].spills);
    let spilled = bench.text(outcome.dumps[0].object.as_ref().unwrap()).await;
    assert!(in_memory == spilled, "the bytes differ");
    assert_eq!(records(&spilled).len(), 20_030);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_its_time_first_and_then_what_it_has_in_byte_order() {
    let bench = Bench::with(&format!(
        "m,host=a,Zone=z cpu=5,n=5i,ok=true,s=\"x\" {MIDNIGHT}\nm,host=a cpu=1e300,n=-9i {}\nm s=\"\" {}\n",
        MIDNIGHT + SECOND / 2,
        MIDNIGHT + 1
    ))
    .await;
    let expected = [
        r#"{"time":"2016-06-11T00:00:00Z","Zone":"z","cpu":5.0,"host":"a","n":5,"ok":true,"s":"x"}"#,
        r#"{"time":"2016-06-11T00:00:00.000000001Z","s":""}"#,
        r#"{"time":"2016-06-11T00:00:00.5Z","cpu":1e+300,"host":"a","n":-9}"#,
    ];
    assert_eq!(bench.dumped("m").await, format!("[{}]\n", expected.join(",")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_a_line_of_at_most_a_thousand_records() {
    let table = [(1, 1, 1), (999, 1, 999), (1000, 1, 1000), (1001, 2, 1), (2000, 2, 1000)];
    let mut lines = String::new();
    for (count, _, _) in table {
        for number in 0..count {
            writeln!(lines, "m{count} v={number}i {}", MIDNIGHT + number * SECOND).unwrap();
        }
    }
    let bench = Bench::with(&lines).await;
    for (count, pages, last) in table {
        let text = bench.dumped(&format!("m{count}")).await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), pages, "{count} records");
        let on = |line: &str| serde_json::from_str::<Vec<Value>>(line).unwrap().len();
        assert!(lines[..pages - 1].iter().all(|line| on(line) == 1000));
        assert_eq!(on(lines[pages - 1]), last, "{count} records");
        assert!(text.ends_with("]\n"));
    }
}
