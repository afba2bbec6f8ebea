//! Names of objects: exactly those of `influxd backup` where it has one, and safe as file names.

use archive::names;

#[test]
fn what_a_backup_stores_is_known_by_its_name() {
    let table = [
        ("2016-06-11/shards/meta.00", true),
        ("2016-06-11/shards/sensu_db.default.00002.00", true),
        ("2016-06-11/shards/a.b.c.1234567.00", true),
        ("2016-06-11/shards/a/b.default.00002.00", true),
        ("2016-06-11/shards/meta.01", false),
        ("2016-06-11/shards/sensu_db.00002.00", false),
        ("2016-06-11/shards/sensu_db.default.0002.00", false),
        ("2016-06-11/shards/sensu_db.default.0000x.00", false),
        ("2016-06-11/shards/sensu_db.default.00002.00.bak", false),
        ("2016-06-11/influxdb/sensu_db.default.00002.00", false),
        ("2016-06-12/shards/meta.00", false),
    ];
    for (name, expected) in table {
        assert_eq!(names::is_data("2016-06-11", name), expected, "{name}");
    }
}

#[test]
fn shards_are_named_as_influxd_backup_names_them() {
    assert_eq!(names::metastore("2016-06-11"), "2016-06-11/shards/meta.00");
    assert_eq!(names::shard("2016-06-11", "sensu_db", "default", 2), "2016-06-11/shards/sensu_db.default.00002.00");
    assert_eq!(names::shard("n", "a.b", "one year", 123_456), "n/shards/a.b.one year.123456.00");
}

#[test]
fn a_dump_is_found_by_its_seal_and_by_the_record_of_its_replacement() {
    for name in [names::dump_manifest("n", "restore.x.json"), names::dump_replacement("n", "restore.x.json")] {
        assert_eq!(names::dump_of_manifest("n", &name), Some("restore.x.json"), "{name}");
        assert_eq!(names::dump_of_manifest("m", &name), None);
    }
    let selection = names::dump_selection("n", "dump.1");
    assert!(names::is_dump_selection("n", &selection) && !names::is_dump_selection("m", &selection));
    let others = [names::backup_manifest("n"), names::restore_record("n", "dump.h"), names::dump("n", "dump.json")];
    for name in others.into_iter().chain([names::dump_manifest("n", "selection.json")]) {
        assert!(!names::is_dump_selection("n", &name), "{name}");
    }
    for name in [names::backup_manifest("n"), names::restore_record("n", "dump.h"), selection] {
        assert_eq!(names::dump_of_manifest("n", &name), None, "{name}");
    }
}
