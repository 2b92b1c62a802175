//! The first lines of an input, before a run begins: whether any of them can be sent as it is
//! wanted. A typo in a place is found here and not in the dead letters of every line.
//!
//! Does not know: the network. Nothing is written, so that the mended run is not another one.

use seawall_lines::{LineReader, OnLong};
use seawall_settings::nearest;
use seawall_worker::{Job, RunError, Selected, look};

use super::work::Work;

/// Refuses a run of whose first lines none can be sent; one that goes on has been looked at.
pub(super) async fn check(work: &Work) -> Result<(), RunError> {
    let settings = &work.settings;
    if !settings.is_anew && !matches!(look(settings), Ok(None)) {
        return Ok(());
    }
    // What cannot be read is told by the run; a link that must not be followed is not looked at.
    let is_link = !settings.follows_links
        && std::fs::symlink_metadata(&settings.input).is_ok_and(|one| one.is_symlink());
    if is_link {
        return Ok(());
    }
    let opening = LineReader::open(&settings.input)
        .line_bytes_max(settings.line_bytes_max)
        .on_long(OnLong::Cut);
    let Ok(mut reader) = opening.await else { return Ok(()) };
    let Ok(Some(batch)) = reader.next().await else { return Ok(()) };
    let (mut tried, mut first) = (0, None);
    for line in batch.into_owned_lines() {
        if tried == LINES_MAX {
            break;
        }
        let job = Job::sample(line);
        match flaw(work, &job) {
            None => continue,
            Some(Ok(())) => return Ok(()),
            Some(Err(why)) => {
                tried += 1;
                first.get_or_insert((why, job.line));
            }
        }
    }
    let Some((why, line)) = first else { return Ok(()) };
    // A few odd lines have a place in the dead letters; a place that no line has, has not.
    if tried < LINES_MIN && !why.contains("no value for") {
        return Ok(());
    }
    let of =
        if tried == 1 { "the first line".to_owned() } else { format!("the first {tried} lines") };
    let guess = did_you_mean(work, &line);
    Err(RunError::Unfillable(format!("none of {of} can be sent: {why}{guess}")))
}

/// Says what is wrong with a line; nothing if it is not to be sent.
fn flaw(work: &Work, job: &Job) -> Option<Result<(), String>> {
    let letter = match work.letter(job).transpose() {
        Ok(letter) => letter,
        Err(why) => return Some(Err(why)),
    };
    let job = letter.as_ref().unwrap_or(job);
    match work.select(&job.line) {
        Selected::Drop => None,
        Selected::Bad(why) => Some(Err(why)),
        Selected::Keep(line) => {
            let filled = work.forward().map(|forward| forward.fill(job, &line));
            Some(filled.map_or(Ok(()), |filled| filled.map(|_| ())))
        }
    }
}

/// Returns what a place was probably meant to be.
fn did_you_mean(work: &Work, line: &[u8]) -> String {
    let members: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).unwrap_or_default();
    let known = || ["line", "seq", "offset"].into_iter().chain(members.keys().map(String::as_str));
    let places = work.forward().map(|forward| forward.places()).unwrap_or_default();
    for place in places {
        let first = place.split('.').next().unwrap_or(place);
        if !known().any(|name| name == first)
            && let Some(near) = nearest(first, known())
        {
            return format!("; did you mean {{{near}}} where {{{place}}} stands?");
        }
    }
    String::new()
}

/// How many lines are looked at, and how many have to be bad before that is more than chance.
const LINES_MAX: usize = 100;
const LINES_MIN: usize = 10;
