//! Which column of the query becomes which member of a record.
//!
//! A record has its time first, then the tags and fields that it has, in byte order of their names. InfluxDB allows a
//! tag and a field of one name; JSON allows both too, but readers keep only one of them. The tag keeps the name then:
//! in a series that has a tag `host`, the field `host` is called `host::field`, which is how InfluxQL writes it. What
//! a member is called thus depends on its series alone, never on which other records a dump holds. (A field whose own
//! name is `host::field` makes room by the same rule, so that no two members of a record ever share a name.)

use super::json;

const SUFFIX: &str = "::field";

/// The columns of the query after `time`: the tags, then the fields, both in byte order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Columns {
    tags: Vec<String>,
    fields: Vec<String>,
}

/// One possible member of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The name as JSON, with its colon: `"host":`.
    pub(super) label: Vec<u8>,
    /// The column with its value.
    pub(super) column: usize,
    /// The column of a tag which the series must have for this name to be right.
    pub(super) present: Option<usize>,
    /// Columns of tags which it must not have.
    pub(super) absent: Vec<usize>,
}

impl Columns {
    pub(super) fn new(mut tags: Vec<String>, mut fields: Vec<String>) -> Columns {
        tags.sort_unstable();
        tags.dedup();
        fields.sort_unstable();
        fields.dedup();
        Columns { tags, fields }
    }

    pub(super) fn tags(&self) -> &[String] {
        &self.tags
    }

    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }

    /// How many columns an answer has, `time` among them.
    pub(super) fn count(&self) -> usize {
        1 + self.tags.len() + self.fields.len()
    }

    /// Every name that occurs both as a tag and as a field.
    pub(super) fn clashes(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter(|tag| self.fields.binary_search(tag).is_ok()).map(String::as_str)
    }

    /// All possible members in the order in which a record has them.
    pub(super) fn members(&self) -> Vec<Member> {
        let mut named: Vec<(String, Member)> = Vec::new();
        let member = |name: String, column: usize, present: Option<usize>, absent: Vec<usize>| {
            let mut label = Vec::new();
            json::append_string(&mut label, &name);
            label.push(b':');
            (name, Member { label, column, present, absent })
        };
        for (index, tag) in self.tags.iter().enumerate() {
            named.push(member(tag.clone(), 1 + index, None, Vec::new()));
        }
        for (index, field) in self.fields.iter().enumerate() {
            let column = 1 + self.tags.len() + index;
            // The tags that take this name, or one that this name could give way to; the longest one decides.
            let rivals = self.rivals(field);
            for (place, &(rival, suffixes)) in rivals.iter().enumerate() {
                let longer = rivals[place + 1..].iter().map(|&(longer, _)| longer).collect();
                named.push(member(format!("{field}{}", SUFFIX.repeat(suffixes + 1)), column, Some(rival), longer));
            }
            named.push(member(field.clone(), column, None, rivals.iter().map(|&(rival, _)| rival).collect()));
        }
        named.sort_by(|(left, _), (right, _)| left.cmp(right));
        named.into_iter().map(|(_, member)| member).collect()
    }

    /// Columns of the tags that are called like the field, suffixes aside, with how many suffixes each has, fewest
    /// first.
    fn rivals(&self, field: &str) -> Vec<(usize, usize)> {
        let base = field.trim_end_matches(SUFFIX);
        let alike = self.tags.iter().enumerate().filter(|(_, tag)| tag.trim_end_matches(SUFFIX) == base);
        alike.map(|(index, tag)| (1 + index, (tag.len() - base.len()) / SUFFIX.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The names of a record's members, in order, when the series has these tags and the record has all fields.
    fn names(columns: &Columns, has_tag: impl Fn(&str) -> bool) -> Vec<String> {
        let has = |column: usize| columns.tags.get(column - 1).is_none_or(|tag| has_tag(tag));
        let applies = |member: &Member| {
            has(member.column) && member.present.is_none_or(has) && !member.absent.iter().any(|&column| has(column))
        };
        let name = |member: Member| {
            let label = String::from_utf8(member.label).unwrap();
            serde_json::from_str(label.strip_suffix(':').unwrap()).unwrap()
        };
        columns.members().into_iter().filter(|member| applies(member)).map(name).collect()
    }

    fn columns(tags: &[&str], fields: &[&str]) -> Columns {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Columns::new(owned(tags), owned(fields))
    }

    #[test]
    fn tags_and_fields_are_in_one_byte_order() {
        let columns = columns(&["host", "Zone", "ü"], &["cpu", "load", "a b", "\"q\""]);
        assert_eq!(names(&columns, |_| true), ["\"q\"", "Zone", "a b", "cpu", "host", "load", "ü"]);
        assert_eq!(columns.clashes().count(), 0);
    }

    #[test]
    fn a_field_gives_way_to_the_tag_of_its_series() {
        let columns = columns(&["host"], &["host", "cpu"]);
        assert_eq!(names(&columns, |_| true), ["cpu", "host", "host::field"]);
        assert_eq!(names(&columns, |_| false), ["cpu", "host"]);
        assert_eq!(columns.clashes().collect::<Vec<_>>(), ["host"]);
    }

    #[test]
    fn even_a_name_with_the_suffix_stays_apart() {
        let columns = columns(&["a", "a::field::field"], &["a", "a::field"]);
        let all = ["a", "a::field::field", "a::field::field::field", "a::field::field::field::field"];
        assert_eq!(names(&columns, |_| true), all);
        assert_eq!(names(&columns, |tag| tag == "a"), ["a", "a::field", "a::field::field"]);
        assert_eq!(names(&columns, |_| false), ["a", "a::field"]);
    }

    proptest! {
        #[test]
        fn no_two_members_share_a_name_and_no_value_is_lost(
            tags in prop::collection::btree_set("[ab](::field){0,2}", 0..5),
            fields in prop::collection::btree_set("[ab](::field){0,2}", 1..6),
            present: u8,
        ) {
            let columns = Columns::new(tags.iter().cloned().collect(), fields.iter().cloned().collect());
            let has = |tag: &str| columns.tags.iter().position(|known| known == tag).is_some_and(|index| present >> index & 1 == 1);
            let names = names(&columns, has);
            let expected = fields.len() + tags.iter().filter(|tag| has(tag)).count();
            prop_assert_eq!(names.len(), expected);
            prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "not in strict order: {:?}", names);
        }
    }
}
