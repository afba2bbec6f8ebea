//! The page: one HTML file that asks for nothing else, works without scripts, and is told to browsers as such.

mod calendar;
mod chart;
mod tables;

use archive::manifest::Writer;
use askama::Template;

use self::calendar::{Legend, Month};
use self::chart::Chart;
use self::tables::{DatabaseRow, DumpRow, NumberRow, TroubleDay};
use super::model::Model;
use super::series::{self, Place};
use super::verdict::{self, Verdict};
use super::words;
use crate::{Error, Kind};

/// Everything that the page shows; `templates/report/page.html` says where. What is put into it is escaped there.
#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'a> {
    title: String,
    verdict: &'a Verdict,
    location: &'a str,
    made: String,
    machine_made: String,
    writer: String,
    span: String,
    states: Vec<Legend>,
    months: Vec<Month>,
    older_months: Vec<Month>,
    hidden_days: u64,
    charts: Vec<Chart>,
    thinned: Option<String>,
    numbers: Vec<NumberRow>,
    troubles: Vec<TroubleDay>,
    hidden_troubles: u64,
    dumps: Vec<DumpRow>,
    last_day: Option<String>,
    databases: Vec<DatabaseRow>,
}

/// Renders the page.
pub(super) fn render(model: &Model, location: &str, writer: &Writer) -> Result<String, Error> {
    let verdict = verdict::of(model);
    let places = series::of(model);
    let shown = calendar::shown(model);
    let (mut months, older_months) = calendar::months(model, shown);
    months.shrink_to_fit();
    let (troubles, hidden_troubles) = tables::troubles(model, shown);
    let last = model.last_good();
    let page = Page {
        title: format!("Nightshard: {}", verdict.headline),
        verdict: &verdict,
        location,
        made: words::time(model.now, model.time_zone),
        machine_made: model.now.to_rfc3339(),
        writer: format!("{} {}", writer.program, writer.version),
        span: span(model),
        states: calendar::legend(model),
        months,
        older_months,
        hidden_days: (model.days.len() - shown.len()) as u64,
        charts: chart::all(&places),
        thinned: thinned(&places),
        numbers: tables::numbers(&places),
        troubles,
        hidden_troubles,
        dumps: tables::dumps(model),
        last_day: last.map(|night| words::long_day(night.listed.night)),
        databases: last.map(tables::databases).unwrap_or_default(),
    };
    let page = page.render().map_err(|error| Error::new(Kind::Failed, format!("cannot make the page: {error}")))?;
    // Names come from whoever may write points. What is no text in HTML, or turns its direction, is none of ours.
    let turns =
        |c| matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let is_foreign = |c: char| turns(c) || c.is_control() && c != '\n';
    Ok(page.chars().map(|c| if is_foreign(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

fn span(model: &Model) -> String {
    match model.span() {
        Some((from, to)) if from != to => format!("{} to {}", words::long_day(from), words::long_day(to)),
        Some((day, _)) => words::long_day(day),
        None => "no day".to_owned(),
    }
}

/// What a place of a chart stands for, where it is more than a night.
fn thinned(places: &[Place]) -> Option<String> {
    let most = places.iter().map(|place| place.nights).max().filter(|nights| *nights > 1)?;
    Some(format!(
        "Each point stands for {most} nights: for the size of the last, for what they sent and added together, and for the \
         longest duration of all."
    ))
}

#[cfg(test)]
mod tests {
    use chrono::{Days, NaiveDate};

    use super::*;
    use crate::list::State;
    use crate::report::model::Night;
    use crate::report::model::samples::{at, model, night, ready};

    fn rendered(nights: Vec<Night>, day: &str) -> String {
        let writer = Writer { program: "nightshard-report".to_owned(), version: "0.1.0".to_owned() };
        render(&model(nights, at(day, "08:00:00")), "file:///srv/a&b", &writer).unwrap()
    }

    #[test]
    fn what_others_have_written_is_escaped() {
        let mut bad = night("2016-06-12", State::Error);
        bad.listed.why = Some("</p><script>alert(1)</script> \"quoted\" & more".to_owned());
        let html = rendered(vec![ready("2016-06-11"), bad], "2016-06-13");
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&#60;script&#62;alert(1)") && html.contains("file:///srv/a&#38;b"), "{html}");
    }

    #[test]
    fn the_page_names_nothing_outside_of_itself() {
        let html = rendered(vec![ready("2016-06-11")], "2016-06-12");
        for outside in ["http:", "https:", "url(", "@import", "<script", "<img", "<iframe"] {
            assert!(!html.contains(outside), "{outside} is in the page");
        }
        assert!(html.contains("Content-Security-Policy") && html.contains("default-src 'none'"));
    }

    #[test]
    fn ten_thousand_nights_fit_on_a_page_and_only_the_last_of_them_into_the_calendar() {
        let first: NaiveDate = "1990-01-01".parse().unwrap();
        let nights = (0..10_000).filter(|day| day % 100 != 7).map(|day| ready(&(first + Days::new(day)).to_string()));
        let html = rendered(nights.collect(), "2017-05-19");
        assert_eq!(html.matches("<td data-state=").count(), 400);
        assert!(html.contains("9,600 earlier days"), "{}", &html[..3000]);
        assert!(html.len() < 500_000, "{} bytes", html.len());
    }
}
