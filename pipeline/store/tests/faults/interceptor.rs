//! A small HTTP proxy between the store and the real Swift, which breaks the requests that a test picks.
//!
//! Each connection carries one request, so that faults hit what they are meant for and nothing else.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// It passes.
    Pass,
    /// It is answered here; `read` says whether its body is read first.
    Answer { status: &'static str, headers: Vec<(&'static str, String)>, body: String, read: bool },
    /// Its body passes up to so many bytes, then the connection breaks.
    CutRequest(usize),
    /// Its body is read up to so many bytes; then nothing happens any more.
    StallRequest(usize),
    /// Its body is read, and nothing happens any more.
    Swallow,
    /// Its body is read so many bytes a second.
    SlowRequest(usize),
    /// Its first byte arrives as another.
    DamageRequest,
    /// It passes, but the answer waits for so long.
    LateAnswer(Duration),
    /// It passes, but the connection ends without the answer.
    LoseAnswer,
    /// The body of the answer ends, in good order, after so many bytes.
    CutAnswer(usize),
    /// The body of the answer stands still after so many bytes.
    StallAnswer(usize),
}

impl Action {
    /// An answer of our own, after the request was read.
    pub(crate) fn answer(status: &'static str) -> Action {
        Action::Answer { status, headers: Vec::new(), body: String::new(), read: true }
    }
}

/// The head of a request that came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Path and query as they were sent.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Head {
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap().split(' ');
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let split = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Head { method, target, headers: lines.filter_map(split).collect() }
    }

    fn length(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }
}

type Script = Box<dyn FnMut(&Head) -> Action + Send>;

struct Shared {
    upstream: String,
    script: Mutex<Script>,
    seen: watch::Sender<Vec<Head>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

/// The proxy. Dropping it ends it and its connections.
pub(crate) struct Interceptor {
    address: String,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Interceptor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Interceptor {
    /// Starts a proxy before `upstream` (`http://host:port`, whatever follows); all requests pass.
    pub(crate) fn before(upstream: &str) -> Interceptor {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that a sender soon notices that nobody reads.
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(128).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned(),
            script: Mutex::new(Box::new(|_| Action::Pass)),
            seen: watch::Sender::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let for_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            // Owned by the task, so that the connections end with it.
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(serve(client, Arc::clone(&for_task)));
                while connections.try_join_next().is_some() {}
            }
        });
        Interceptor { address, shared, task: task.abort_handle() }
    }

    /// `http://` with host and port.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Decides about every request from now on.
    pub(crate) fn script(&self, script: impl FnMut(&Head) -> Action + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Does `actions`, one each, with the next requests that `picks` picks; all others pass.
    pub(crate) fn next(&self, picks: impl Fn(&Head) -> bool + Send + 'static, actions: Vec<Action>) {
        let mut actions = actions.into_iter();
        self.script(move |head| if picks(head) { actions.next().unwrap_or(Action::Pass) } else { Action::Pass });
    }

    /// Does `action` with every request that `picks` picks.
    pub(crate) fn always(&self, picks: impl Fn(&Head) -> bool + Send + 'static, action: Action) {
        self.script(move |head| if picks(head) { action.clone() } else { Action::Pass });
    }

    /// The requests that came by so far and that `picks` picks.
    pub(crate) fn seen(&self, picks: impl Fn(&Head) -> bool) -> Vec<Head> {
        self.shared.seen.borrow().iter().filter(|head| picks(head)).cloned().collect()
    }

    /// Waits until a request came by that `picks` picks.
    pub(crate) async fn await_request(&self, picks: impl Fn(&Head) -> bool) {
        let mut seen = self.shared.seen.subscribe();
        seen.wait_for(|heads| heads.iter().any(&picks)).await.unwrap();
    }

    /// How many uploads were under way at the same time, at most.
    pub(crate) fn most_uploads_at_once(&self) -> usize {
        self.shared.most_under_way.load(Ordering::SeqCst)
    }
}

/// Whether a request uploads an object of `name`. (In these tests names need no encoding.)
pub(crate) fn put_of(name: &'static str) -> impl Fn(&Head) -> bool + Send + Clone + 'static {
    move |head| head.method == "PUT" && is_named(head, name)
}

/// Whether a request reads the object `name`.
pub(crate) fn get_of(name: &'static str) -> impl Fn(&Head) -> bool + Send + Clone + 'static {
    move |head| head.method == "GET" && is_named(head, name)
}

/// Whether a request looks at the object `name`.
pub(crate) fn head_of(name: &'static str) -> impl Fn(&Head) -> bool + Send + Clone + 'static {
    move |head| head.method == "HEAD" && is_named(head, name)
}

fn is_named(head: &Head, name: &str) -> bool {
    path(head).strip_suffix(name).is_some_and(|above| above.ends_with('/'))
}

/// Whether a request asks for a token of version 1.
pub(crate) fn is_auth(head: &Head) -> bool {
    head.target.starts_with("/auth/")
}

pub(crate) fn path(head: &Head) -> &str {
    head.target.split('?').next().unwrap()
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let Some((head, mut body)) = read_head(&mut client).await else { return };
    let action = (shared.script.lock().unwrap())(&head);
    shared.seen.send_modify(|seen| seen.push(head.clone()));
    let upload = (head.method == "PUT").then(|| UnderWay::new(&shared));
    // A connection that the other side has ended is no fault of the proxy.
    let _ = handle(&mut client, &head, &mut body, action, &shared.upstream, upload).await;
}

/// Counts an upload from its head to its answer.
struct UnderWay<'a>(&'a Shared);

impl UnderWay<'_> {
    fn new(shared: &Shared) -> UnderWay<'_> {
        let now = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_under_way.fetch_max(now, Ordering::SeqCst);
        UnderWay(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The head of a request or answer, and what was read beyond it.
async fn read_head(stream: &mut TcpStream) -> Option<(Head, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Some((Head::parse(std::str::from_utf8(&bytes[..end]).unwrap()), rest));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads `left` bytes for nobody.
async fn swallow(client: &mut TcpStream, mut left: usize) -> std::io::Result<()> {
    let mut buffer = [0; 16 << 10];
    while left > 0 {
        match client.read(&mut buffer).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            got => left = left.saturating_sub(got),
        }
    }
    Ok(())
}

/// The head again, for one request on a connection.
fn print_head(first: &str, head: &Head) -> String {
    let mut text = format!("{first}\r\n");
    for (name, value) in &head.headers {
        if !name.eq_ignore_ascii_case("connection") {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text + "Connection: close\r\n\r\n"
}

async fn handle(
    client: &mut TcpStream,
    head: &Head,
    body: &mut Vec<u8>,
    action: Action,
    upstream: &str,
    upload: Option<UnderWay<'_>>,
) -> std::io::Result<()> {
    if let Action::Answer { status, headers, body: page, read } = action {
        if read {
            swallow(client, head.length() - body.len()).await?;
        }
        let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            text.push_str(&format!("Content-Length: {}\r\n", page.len()));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        drop(upload);
        return client.write_all(format!("{text}\r\n{page}").as_bytes()).await;
    }
    if let Action::Swallow = action {
        swallow(client, head.length() - body.len()).await?;
        return std::future::pending().await;
    }

    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(print_head(&format!("{} {} HTTP/1.1", head.method, head.target), head).as_bytes()).await?;
    let mut passed = 0;
    while passed < head.length() {
        if body.is_empty() {
            if let Action::StallRequest(limit) = action
                && passed >= limit
            {
                std::future::pending::<()>().await;
            }
            body.reserve(16 << 10);
            if client.read_buf(body).await? == 0 {
                return Ok(());
            }
        }
        match action {
            Action::CutRequest(limit) if passed + body.len() > limit => return client.set_zero_linger(),
            Action::DamageRequest if passed == 0 => body[0] ^= 1,
            Action::SlowRequest(rate) => {
                tokio::time::sleep(Duration::from_secs_f64(body.len() as f64 / rate as f64)).await;
            }
            _ => {}
        }
        if server.write_all(body).await.is_err() {
            // It wants no more of it, and has perhaps said why.
            break;
        }
        passed += body.len();
        body.clear();
    }

    let (answer, mut body) = read_head(&mut server).await.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    drop(upload);
    match action {
        Action::LoseAnswer => {
            // Only when it is complete, everything has been done.
            while server.read_buf(&mut body).await? > 0 {}
            return Ok(());
        }
        Action::LateAnswer(late) => tokio::time::sleep(late).await,
        _ => {}
    }
    let first = format!("HTTP/1.1 {} {}", answer.target, "status");
    client.write_all(print_head(&first, &answer).as_bytes()).await?;
    let mut passed = 0;
    loop {
        let limit = match action {
            Action::CutAnswer(limit) | Action::StallAnswer(limit) => limit - passed,
            _ => usize::MAX,
        };
        let now = body.len().min(limit);
        client.write_all(&body[..now]).await?;
        passed += now;
        if now == limit {
            if matches!(action, Action::StallAnswer(_)) {
                std::future::pending::<()>().await;
            }
            return Ok(());
        }
        body.clear();
        if server.read_buf(&mut body).await? == 0 {
            return Ok(());
        }
    }
}
