//! Pins: what is taken for a reason to keep a night, and what the record of it looks like.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use archive::manifest::Writer;
use archive::records::PinRecord;
use archive::{Document, Error, Reason, names};
use serde_json::json;

#[test]
fn a_reason_is_a_line_of_text_and_else_refused_with_a_hint() {
    for text in ["before the migration", "x", "vor dem Umzug, für die Prüfer (#4711)", &"é".repeat(200)] {
        assert_eq!(text.parse::<Reason>().unwrap().as_str(), text);
    }
    assert_eq!("  before the migration\n".parse::<Reason>().unwrap().to_string(), "before the migration");
    for (text, why) in [
        ("", "says nothing"),
        (" \t\n", "says nothing"),
        (&*"é".repeat(201), "has 201 characters, and 200 is the most"),
        ("one\ntwo", "line breaks"),
        ("a\u{1b}[31mred", "control characters"),
        ("one\u{2028}two", "line breaks"),
    ] {
        let Err(Error::Usage { message, hint }) = text.parse::<Reason>() else { panic!("{text:?}") };
        assert!(message.contains(why) && hint.starts_with("say "), "{text:?}: {message}: {hint}");
    }
}

#[test]
fn a_pin_is_written_as_it_was_agreed_upon() {
    assert_eq!(names::pin_record("2016-06-11"), "2016-06-11/manifests/pin.json");
    let record = PinRecord {
        format: PinRecord::FORMAT.to_owned(),
        writer: Writer { program: "nightshard-list".to_owned(), version: "0.1.0".to_owned() },
        host: "db1".to_owned(),
        set: "2016-06-12T08:00:00Z".parse().unwrap(),
        reason: "before the migration".to_owned(),
    };
    let written = json!({
        "format": "nightshard-pin/1", "writer": {"program": "nightshard-list", "version": "0.1.0"}, "host": "db1",
        "set": "2016-06-12T08:00:00Z", "reason": "before the migration",
    });
    assert_eq!(serde_json::to_value(&record).unwrap(), written);
    assert_eq!(serde_json::from_value::<PinRecord>(written).unwrap(), record);
}
