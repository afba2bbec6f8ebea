//! The one place that prints: data on stdout, and on stderr how a program failed.

use std::io::{self, ErrorKind, Write};

use crate::exit::Failure;

/// Prints data on stdout. A reader who has seen enough and closed the pipe is no failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(newline.as_bytes()))
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::failed(format!("cannot write to stdout: {error}"))),
    }
}

/// Stdout for a job whose outcome is data itself, piece by piece. The job knows what a closed pipe means to it.
#[must_use]
pub fn stream() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

/// Says on stderr what went wrong and what to do.
pub(crate) fn failure(failure: &Failure) {
    let mut text = format!("error: {}\n", failure.message);
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // When stderr is gone there is nobody left to tell; the exit code tells the rest.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
