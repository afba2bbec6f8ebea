//! Broken networks and ill servers: what the store survives, and what it says when it cannot.
//!
//! All of it happens before a real Swift; only what goes wrong is made here.

#[path = "../common/mod.rs"]
mod common;

mod authentication;
mod downloads;
mod interceptor;
mod refusals;
mod segments;
mod uploads;

use std::time::Duration;

use store::swift::{Credentials, Settings};
use store::{Store, Swift};

use crate::interceptor::Interceptor;

/// A Swift behind an interceptor, and a container of its own for one test.
pub(crate) struct Bench {
    pub(crate) swift: Swift,
    pub(crate) container: String,
    pub(crate) interceptor: Interceptor,
    pub(crate) settings: Settings,
}

impl Bench {
    /// With short patience; `change` sets what matters to a test.
    pub(crate) async fn new(change: impl FnOnce(&mut Settings)) -> Bench {
        let mut settings = common::version_1();
        let upstream = test_support::tempauth().proxy;
        let interceptor = Interceptor::before(&upstream);
        if let Credentials::Version1 { auth_url, .. } = &mut settings.credentials {
            *auth_url = format!("{}/auth/v1.0", interceptor.url());
        }
        settings.stall_timeout = Duration::from_secs(20);
        settings.segment_size = 1 << 30;
        change(&mut settings);
        let swift = Swift::connect(settings.clone()).await.expect("a Swift that lets us in");
        let container = test_support::random_name("night");
        swift.create_container(&container).await.expect("a new container");
        Bench { swift, container, interceptor, settings }
    }

    /// Clears up, without faults.
    pub(crate) async fn done(self) {
        self.interceptor.script(|_| interceptor::Action::Pass);
        common::clear(&self.swift, &self.container).await;
        common::clear(&self.swift, &self.settings.segments_container).await;
    }
}
