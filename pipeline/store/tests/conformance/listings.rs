//! Containers, and listings: in byte order, page by page. (The benches ask for pages of seven.)

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use store::{Error, StoreExt};

use crate::Bench;
use crate::common::noise;

/// Names whose byte order is not that of their directories: '.' and '-' sort before '/', and capitals before small.
const NAMES: [&str; 18] = [
    "A", "a", "a-b", "a.b", "b-/c", "b.", "b/c", "b/c-d", "b/c.d", "b0", "c/d/e/f", "c/d/e/g", "c/d/e-/f", "c/d/f",
    "z", "ä", "日/本", "🌒",
];

async fn fill(bench: &Bench) -> Vec<String> {
    for name in NAMES {
        bench.store.put_bytes(&bench.container, name, noise(name.len())).await.unwrap();
    }
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    names.sort_unstable();
    names
}

async fn all(bench: &Bench, prefix: &str) -> Vec<String> {
    let listed = bench.store.list_all(&bench.container, prefix).await.unwrap();
    listed.into_iter().map(|entry| entry.name).collect()
}

pub(crate) async fn objects_come_in_byte_order_page_by_page(bench: Bench) {
    assert_eq!(bench.store.list(&bench.container, "", None).await.unwrap(), [], "an empty container");
    let names = fill(&bench).await;
    let mut after: Option<String> = None;
    let mut listed = Vec::new();
    loop {
        let page = bench.store.list(&bench.container, "", after.as_deref()).await.unwrap();
        assert!(page.len() <= 7, "a page is bounded");
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for entry in page {
            assert_eq!(entry.bytes, entry.name.len() as u64);
            listed.push(entry.name);
        }
    }
    assert_eq!(listed, names);
    assert_eq!(all(&bench, "").await, names);
}

pub(crate) async fn a_prefix_is_any_beginning_of_a_name(bench: Bench) {
    let names = fill(&bench).await;
    for prefix in [
        "a", "b", "b/", "b/c", "b/c.", "c/d/e/", "c/d/e", "c/d", "日", "日/", "x", "b//", "z/", "A/b", "c/d/e/f",
        "../", "/",
    ] {
        let expected: Vec<&String> = names.iter().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(all(&bench, prefix).await.iter().collect::<Vec<_>>(), expected, "{prefix:?}");
    }
}

pub(crate) async fn a_page_may_begin_anywhere(bench: Bench) {
    let names = fill(&bench).await;
    for after in ["A", "a", "a-", "b", "b/", "b/c", "b/c-x", "c/d/e/f", "c/d/e/", "c/d/e0", "🌒", "zz"] {
        for prefix in ["", "b", "c/d/"] {
            let page = bench.store.list(&bench.container, prefix, Some(after)).await.unwrap();
            let page: Vec<String> = page.into_iter().map(|entry| entry.name).collect();
            let expected: Vec<String> = names
                .iter()
                .filter(|name| name.as_str() > after && name.starts_with(prefix))
                .take(7)
                .cloned()
                .collect();
            assert_eq!(page, expected, "after {after:?} with {prefix:?}");
        }
    }
}

pub(crate) async fn containers_are_made_and_removed(bench: Bench) {
    let Bench { store, .. } = &bench;
    let container = test_support::random_name("strange name%20 ä?#");
    store.delete_container(&container).await.unwrap();
    store.create_container(&container).await.unwrap();
    store.create_container(&container).await.unwrap();
    store.put_bytes(&container, "a/b", noise(3)).await.unwrap();
    store.create_container(&container).await.unwrap();
    assert_eq!(store.get_bytes(&container, "a/b", 10).await.unwrap(), noise(3), "making it again takes nothing away");
    let full = store.delete_container(&container).await;
    assert!(matches!(full, Err(Error::Conflict { .. })), "{full:?}");
    assert_eq!(store.get_bytes(&container, "a/b", 10).await.unwrap(), noise(3));
    store.delete(&container, "a/b").await.unwrap();
    assert_eq!(store.list(&container, "", None).await.unwrap(), [], "an emptied container is still there");
    store.delete_container(&container).await.unwrap();
    store.delete_container(&container).await.unwrap();
    let gone = store.list(&container, "", None).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

pub(crate) async fn containers_are_listed_page_by_page(bench: Bench) {
    let prefix = test_support::random_name("many");
    let mut names: Vec<String> = (0..16).map(|number| format!("{prefix}{number}")).collect();
    for name in &names {
        bench.store.create_container(name).await.unwrap();
    }
    names.sort_unstable();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let page = bench.store.list_containers(&prefix, listed.last().map(String::as_str)).await.unwrap();
        assert!(page.len() <= 7, "a page is bounded");
        if page.is_empty() {
            break;
        }
        listed.extend(page.into_iter().map(|entry| entry.name));
    }
    assert_eq!(listed, names);
    for name in &names {
        bench.store.delete_container(name).await.unwrap();
    }
    assert_eq!(bench.store.list_containers(&prefix, None).await.unwrap(), []);
}
