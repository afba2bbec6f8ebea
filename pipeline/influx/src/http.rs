//! One place where requests over HTTP go out and where a status becomes an outcome.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::ACCEPT;
use reqwest::{Certificate, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::error::Interface;
use crate::{Error, Settings, answer, select};

/// More of an error's body than this is not read.
const ERROR_BODY_LIMIT: usize = 64 << 10;

/// The HTTP interface of one server.
pub(crate) struct Http {
    url: Url,
    client: reqwest::Client,
    credentials: Option<(String, Option<String>)>,
    answer_timeout: Duration,
    stall_timeout: Duration,
}

impl Http {
    pub(crate) fn new(settings: Settings) -> Result<Http, Error> {
        let mut url = settings.url;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Error::Settings {
                message: format!("{url} is not the address of an InfluxDB"),
                hint: "it looks like http://127.0.0.1:8086".to_owned(),
            });
        }
        let user = settings.user.or_else(|| Some(percent_decode(url.username())).filter(|user| !user.is_empty()));
        let password = settings.password.or_else(|| url.password().map(percent_decode));
        // Neither fails on a URL which has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);

        let mut builder = reqwest::Client::builder()
            .no_proxy()
            // A redirected POST would become a GET; better to be told of the right address.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .tcp_keepalive(Duration::from_secs(30))
            .tls_danger_accept_invalid_certs(settings.insecure);
        if let Some(path) = &settings.ca_certificate {
            let unusable = |reason: String| Error::Settings {
                message: format!("cannot use the CA certificate {}: {reason}", path.display()),
                hint: "it must be a readable file of PEM certificates".to_owned(),
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(cause(&error)))?;
            if certificates.is_empty() {
                return Err(unusable("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| Error::Settings {
            message: format!("cannot prepare the connection to {url}: {}", cause(&error)),
            hint: "check the CA certificate and the system's own certificates".to_owned(),
        })?;
        Ok(Http {
            url,
            client,
            credentials: user.map(|user| (user, password)),
            answer_timeout: settings.answer_timeout,
            stall_timeout: settings.stall_timeout,
        })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// `GET /ping`.
    pub(crate) async fn ping(&self, operation: &str) -> Result<Response, Error> {
        self.send(operation, self.client.get(self.endpoint("ping"))).await
    }

    /// `POST /query`, with everything in the form, so that neither a proxy's log nor a limit on the length of
    /// URLs meets the query's text.
    pub(crate) async fn query(
        &self,
        operation: &str,
        accept: &'static str,
        form: &[(&str, &str)],
    ) -> Result<Response, Error> {
        let request = self.client.post(self.endpoint("query")).header(ACCEPT, accept).form(form);
        self.send(operation, request).await
    }

    /// `POST /write`.
    pub(crate) async fn write(&self, operation: &str, parameters: &[(&str, &str)], lines: Bytes) -> Result<(), Error> {
        let request = self.client.post(self.endpoint("write")).query(parameters).body(lines);
        self.send(operation, request).await.map(drop)
    }

    /// The next piece of an answer of which `received` bytes have arrived; `None` after a proper end.
    ///
    /// The server sends its status before it works on a query, so the first piece may take as long as an answer.
    pub(crate) async fn piece(
        &self,
        operation: &str,
        response: &mut Response,
        received: u64,
    ) -> Result<Option<Bytes>, Error> {
        let patience = if received == 0 { self.answer_timeout } else { self.stall_timeout };
        match tokio::time::timeout(patience, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(Error::Truncated {
                operation: operation.to_owned(),
                address: self.url.to_string(),
                received,
                reason: cause(&error),
            }),
            Err(_) => Err(self.stalled(operation, patience, received)),
        }
    }

    /// The whole body of a small answer; one longer than `limit` bytes is an error.
    pub(crate) async fn body(&self, operation: &str, mut response: Response, limit: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(operation, &mut response, body.len() as u64).await? {
            if body.len() + piece.len() > limit {
                let reason = format!("it is longer than {limit} bytes");
                return Err(Error::Protocol { operation: operation.to_owned(), reason });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// What the server says of a statement, in its answer's JSON or MessagePack.
    pub(crate) fn refused(&self, operation: &str, message: &str) -> Error {
        let address = self.url.to_string();
        match message.strip_prefix("database not found: ") {
            Some(database) => Error::UnknownDatabase { database: database.trim_matches('"').to_owned(), address },
            None => Error::Query {
                operation: operation.to_owned(),
                address,
                message: message.to_owned(),
                passing: may_pass(message),
            },
        }
    }

    pub(crate) fn truncated(&self, operation: &str, received: u64, reason: &str) -> Error {
        let (operation, address) = (operation.to_owned(), self.url.to_string());
        Error::Truncated { operation, address, received, reason: reason.to_owned() }
    }

    fn unreachable(&self, operation: String, reason: String) -> Error {
        let address = self.url.to_string();
        // The words of rustls, whose error lies too deep in those of others to be asked for its kind.
        if reason.contains("invalid peer certificate") {
            Error::Certificate { operation, address, reason }
        } else {
            Error::Unreachable { operation, address, reason, interface: Interface::Http }
        }
    }

    fn stalled(&self, operation: &str, waited: Duration, received: u64) -> Error {
        Error::Stalled { operation: operation.to_owned(), address: self.url.to_string(), waited, received }
    }

    fn endpoint(&self, name: &str) -> String {
        format!("{}/{name}", self.url.as_str().trim_end_matches('/'))
    }

    async fn send(&self, operation: &str, mut request: RequestBuilder) -> Result<Response, Error> {
        if let Some((user, password)) = &self.credentials {
            request = request.basic_auth(user, password.as_ref());
        }
        let response = match tokio::time::timeout(self.answer_timeout, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.unreachable(operation.to_owned(), cause(&error))),
            Err(_) => return Err(self.stalled(operation, self.answer_timeout, 0)),
        };
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(self.failure(operation, status, response).await) }
    }

    async fn failure(&self, operation: &str, status: StatusCode, response: Response) -> Error {
        let body = match self.body(operation, response, ERROR_BODY_LIMIT).await {
            Ok(body) => body,
            Err(Error::Protocol { .. }) => Vec::new(),
            Err(error) => return error,
        };
        let message = select::error_text(&body).unwrap_or_else(|| answer::error_text(&body));
        let (operation, address) = (operation.to_owned(), self.url.to_string());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Error::Unauthorized { operation, address, reason: format!("{status}: {message}") }
            }
            StatusCode::NOT_FOUND if message.starts_with("database not found: ") => self.refused(&operation, &message),
            _ => Error::Query {
                operation,
                address,
                passing: status.is_server_error() || matches!(status.as_u16(), 408 | 429) || may_pass(&message),
                message: format!("{status}: {message}"),
            },
        }
    }
}

/// Whether the server's words tell of a trouble of the moment. The words are those of 1.6.
fn may_pass(message: &str) -> bool {
    [
        "max-concurrent-queries limit exceeded",
        "query-timeout limit exceeded",
        "query interrupted",
        "query engine shutdown",
        "engine is closed",
        "shard is disabled",
        "timeout",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// The innermost cause of an error of reqwest: what lies around it says no more than that sending failed.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn percent_decode(text: &str) -> String {
    // A form value of the same text is decoded by the URL's own rules, but for the plus sign, which stands for itself.
    let pair = format!("v={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}
