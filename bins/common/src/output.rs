//! The one place that prints: data on stdout, and on stderr how a program failed.

use std::borrow::Cow;
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

/// Words for a person, of which some may be others': names of measurements come from whoever may write points. What would move
/// a cursor, ring, or turn the direction of writing is shown by its number.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_command) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if is_command(c) { c.escape_unicode().to_string() } else { c.to_string() });
    Cow::Owned(shown.collect())
}

fn is_command(c: char) -> bool {
    let turns = matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() && !matches!(c, '\n' | '\t')
}

/// Stdout for a job whose outcome is data itself, piece by piece. The job knows what a closed pipe means to it.
#[must_use]
pub fn stream() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

/// Says on stderr what went wrong and what to do.
pub(crate) fn failure(failure: &Failure) {
    let mut text = format!("error: {}\n", plain(&failure.message));
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("hint: {}\n", plain(hint)));
    }
    // When stderr is gone there is nobody left to tell; the exit code tells the rest.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_command_a_terminal_is_shown_instead() {
        assert_eq!(plain("a\u{1b}[31mb\u{7}\u{202e}c\r"), "a\\u{1b}[31mb\\u{7}\\u{202e}c\\u{d}");
        assert!(matches!(plain("two\nlines\tand é"), Cow::Borrowed(_)));
    }
}
