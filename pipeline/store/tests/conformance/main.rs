//! One suite for every store: each case runs against a folder, one behind a limit, Swift with version 1
//! authentication, and Swift with Keystone. The cases say, sentence by sentence, what the contract of `Store` promises.

#[path = "../common/mod.rs"]
mod common;

mod listings;
mod objects;
mod segments;
mod sharing;
mod uploads;

use std::sync::Arc;

use store::swift::Settings;
use store::{Folder, Store, Swift};

/// A store under test, and a container of its own for one case.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    /// Exists, and is empty.
    pub(crate) container: String,
    /// The settings of a Swift.
    pub(crate) settings: Option<Settings>,
}

/// A folder, which is gone when the returned directory is.
fn folder() -> (tempfile::TempDir, Arc<dyn Store>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = Folder::open(directory.path().join("archive")).expect("a new folder").with_listing_limit(7);
    (directory, Arc::new(folder))
}

/// Runs a case, and clears up after it, also when it failed.
async fn run<Case: Future<Output = ()> + Send + 'static>(
    store: Arc<dyn Store>,
    settings: Option<Settings>,
    case: impl FnOnce(Bench) -> Case,
) {
    let container = test_support::random_name("night");
    store.create_container(&container).await.expect("a new container");
    let bench = Bench { store: Arc::clone(&store), container: container.clone(), settings };
    let done = tokio::spawn(case(bench.clone())).await;
    common::clear(&*store, &container).await;
    if let Some(settings) = &bench.settings {
        common::clear(&*store, &settings.segments_container).await;
    }
    if let Err(failed) = done {
        std::panic::resume_unwind(failed.into_panic());
    }
}

async fn swift(settings: Settings) -> (Arc<dyn Store>, Option<Settings>) {
    let store = Swift::connect(settings.clone()).await.expect("a Swift that lets us in");
    (Arc::new(store), Some(settings))
}

macro_rules! for_folder {
    ($($module:ident::$case:ident)*) => {
        mod folder_store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_directory, store) = super::folder();
                super::run(store, None, super::$module::$case).await;
            })*
        }
    };
}

/// Any store behind a limit is a store.
macro_rules! for_limited_folder {
    ($($module:ident::$case:ident)*) => {
        mod limited_folder_store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_directory, store) = super::folder();
                let limited = std::sync::Arc::new(store::Metered::new(store, Some(1 << 30), &std::sync::Arc::default()));
                super::run(limited, None, super::$module::$case).await;
            })*
        }
    };
}

macro_rules! for_swift {
    ($($module:ident::$case:ident)*) => {
        mod swift_version_1 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, settings) = super::swift(crate::common::version_1()).await;
                super::run(store, settings, super::$module::$case).await;
            })*
        }
        mod swift_keystone {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, settings) = super::swift(crate::common::keystone()).await;
                super::run(store, settings, super::$module::$case).await;
            })*
        }
    };
}

macro_rules! conformance {
    (every store: [$($every:tt)*] swift alone: [$($swift:tt)*]) => {
        for_folder! { $($every)* }
        for_limited_folder! { $($every)* }
        for_swift! { $($every)* $($swift)* }
    };
}

conformance! {
    every store: [
        objects::what_was_put_comes_back
        objects::bodies_come_from_files_too
        objects::ranges_are_half_open_and_end_at_the_end
        objects::what_does_not_exist_is_not_found
        objects::deleting_takes_the_named_object_alone
        objects::ages_are_told_by_one_clock
        objects::comforts_keep_their_word
        objects::what_lies_in_a_file_is_the_object_itself
        objects::strange_names_are_just_names
        objects::names_that_nobody_can_hold_are_refused
        uploads::a_body_of_another_length_is_refused_and_the_old_object_stays
        uploads::a_body_of_another_md5_is_refused_and_the_old_object_stays
        uploads::a_missing_source_is_an_error
        uploads::a_put_replaces_what_was_there
        uploads::readers_see_an_old_or_a_new_object_and_never_a_mixture
        uploads::many_puts_at_once_do_not_disturb_each_other
        uploads::of_puts_of_one_name_at_once_one_stands
        listings::objects_come_in_byte_order_page_by_page
        listings::a_prefix_is_any_beginning_of_a_name
        listings::a_page_may_begin_anywhere
        listings::containers_are_made_and_removed
        listings::containers_are_listed_page_by_page
        sharing::a_link_is_the_object_under_another_name
        sharing::a_link_leads_to_what_is_there_or_is_refused
        sharing::what_was_destroyed_is_gone_for_good
    ]
    swift alone: [
        segments::a_large_body_is_stored_in_segments_and_read_as_one
        segments::ranges_reach_across_segments
        segments::a_body_just_as_large_as_a_segment_stays_in_one_piece
        segments::deleting_leaves_the_segments_unless_they_are_to_go
        segments::segments_of_other_names_are_not_touched
        segments::segments_that_lie_elsewhere_are_not_touched
        segments::a_replaced_object_leaves_no_segments_behind
        segments::segments_of_a_killed_upload_go_with_the_next_one
        segments::a_failed_upload_leaves_no_segments_behind
        segments::strange_names_have_segments_too
        segments::a_segment_that_is_missing_or_another_is_found_without_reading
        sharing::a_link_of_another_object_than_was_named_is_refused
        sharing::a_composed_object_is_its_pieces_in_their_order
        sharing::an_object_of_pieces_that_are_not_there_is_refused
    ]
}
