//! The question before something is deleted that cannot be brought back.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::door::Context;
use crate::exit::{Code, Failure};
use crate::output;

impl Context {
    /// Shows `text` to the person at the terminal, asks, and goes on only after a yes.
    ///
    /// # Errors
    ///
    /// Wrong usage where nobody can be asked; that nothing was done where the answer is another one.
    pub async fn confirm(&self, text: &str, question: &str) -> Result<(), Failure> {
        if !io::stdin().is_terminal() {
            let hint = "give --yes to do it without a question; --dry-run shows what would be done";
            return Err(Failure::usage("nobody can be asked, as stdin is no terminal", hint));
        }
        let asked = format!("{}\n{question} [y/N] ", output::plain(text).trim_end());
        let audience = self.audience.clone();
        // Reading cannot be ended; a program that is asked to end does not wait for the thread that reads.
        let reading = tokio::task::spawn_blocking(move || audience.suspended(|| ask(&asked)));
        let answer = tokio::select! {
            answer = reading => answer.map_err(io::Error::other).flatten(),
            () = self.interrupt.requested() => return Err(jobs::Error::interrupted().into()),
        };
        match answer {
            Ok(answer) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
            Ok(_) => Err(Failure { code: Code::Failed, message: "nothing was changed".to_owned(), hint: None }),
            Err(error) => Err(Failure::failed(format!("cannot ask: {error}"))),
        }
    }
}

/// On stderr, since stdout is for the outcome.
fn ask(question: &str) -> io::Result<String> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    drop(stderr);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
