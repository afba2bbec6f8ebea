//! The series key: which of two records of one instant comes first.
//!
//! Made from the measurement and the tags as they are, not as some file has them escaped, so that every way of
//! reading (queries, files) yields the same key and therefore the same order. It is the key by which InfluxDB itself
//! tells series apart: `measurement,tag=value,…`, tags in byte order of their names, with a backslash before each
//! comma and space (and in tags before `=`), and no other escape. Two series of one server never share a key.

/// Appends the key of a series to `out`. The tags must come in byte order of their names; those without a value are
/// tags that the series does not have, and must be left out.
pub(super) fn append<'a>(out: &mut Vec<u8>, measurement: &[u8], tags: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    escape(out, measurement, b", ");
    for (name, value) in tags {
        out.push(b',');
        escape(out, name, b",= ");
        out.push(b'=');
        escape(out, value, b",= ");
    }
}

fn escape(out: &mut Vec<u8>, text: &[u8], special: &[u8]) {
    for &byte in text {
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_as_influxdb_shows_its_series() {
        // measurement | tags | key, as `SHOW SERIES` of 1.6.7 has it.
        let table = r#"
            cpu           |                    | cpu
            cpu           | host=a region=b    | cpu,host=a,region=b
            my·m,eas=x    | a=b                | my\·m\,eas=x,a=b
            e             | c=a·b,c~d          | e,c=a\·b\,c\=d
            e             | c=a"b\tc           | e,c=a"b\tc
            e             | c\\x=tr            | e,c\\x=tr
            "quo"ted"     | a=b                | "quo"ted",a=b
            été           | ü,~=夜             | été,ü\,\==夜
        "#;
        for line in table.lines().filter(|line| !line.trim().is_empty()) {
            let plain = |text: &str| text.replace('·', " ").replace('~', "=");
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let tags: Vec<(String, String)> = columns[1]
                .split_whitespace()
                .map(|tag| tag.split_once('=').map(|(name, value)| (plain(name), plain(value))).unwrap())
                .collect();
            let mut key = Vec::new();
            let tags = tags.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            append(&mut key, plain(columns[0]).as_bytes(), tags);
            assert_eq!(String::from_utf8(key).unwrap(), columns[2].replace('·', " "), "{line}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_stay() {
        let mut key = Vec::new();
        append(&mut key, b"m", [(&b"t"[..], &b"\xff,\xfe"[..])].into_iter());
        assert_eq!(key, b"m,t=\xff\\,\xfe");
    }
}
