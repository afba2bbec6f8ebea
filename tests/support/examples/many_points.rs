//! Writes a TSM file of very many series, or of one very long one, for `scripts/bench`: faster than a server takes them.
//!
//! ```text
//! many_points FILE START SERIES POINTS
//! ```
//!
//! `START` is the first instant, in nanoseconds since 1970; the points of each series lie evenly in the day that follows.

#![allow(clippy::unwrap_used, reason = "a tool of tests, which fails by panicking")]

use std::fs::File;
use std::io::BufWriter;

use test_support::tsm_writer::{Column, TsmWriter};

const DAY: i64 = 86_400_000_000_000;

/// Points in a block, as InfluxDB writes them.
const BLOCK: i64 = 1000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap();
    let [start, series, points] = [(); 3].map(|()| arguments.next().unwrap().parse::<i64>().unwrap());
    let mut writer = TsmWriter::new(BufWriter::new(File::create(path).unwrap()));
    for number in 0..series {
        writer.key(format!("many,id={number:07}#!~#value").as_bytes(), 0);
        for first in (0..points).step_by(BLOCK as usize) {
            let numbers: Vec<i64> = (first..points.min(first + BLOCK)).collect();
            let times: Vec<i64> = numbers.iter().map(|point| start + point * (DAY / points)).collect();
            let values: Vec<f64> = numbers.iter().map(|point| (point + number) as f64 / 4.0).collect();
            writer.points(&times, &Column::Float(&values));
        }
    }
    writer.finish();
}
