//! Makes a dictionary for the store: what verdicts and evidence of generated supply chains have in common.
//!
//! `dictionary FILE`
//!
//! Two runs make two dictionaries, since keys and signatures are random. Rows name the one that they were compressed with,
//! so that a new one is put beside those that the store has, and takes the place of none.
//!
//! Exit status: 0 if it was made, 1 if not, 2 for wrong usage.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hekate::adapters::dynamodb::folded;
use hekate::attestation::TrustOrigin;
use hekate::dossier::{Answer, Kept};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, judge, no_address, trust_in};
use hekate_tests::recollection::Recollection;
use testbed::World;
use testbed::record::record;

/// The most bytes of a dictionary.
const MOST: usize = 64 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file] = &arguments[..] else {
        // Nobody is left to hear that standard error is closed.
        let _ = writeln!(std::io::stderr(), "usage: dictionary FILE");
        return ExitCode::from(2);
    };
    match make(file).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault:#}");
            ExitCode::FAILURE
        }
    }
}

async fn make(file: &str) -> Result<()> {
    let judge = judge(trust_in(&World::shared(), TrustOrigin::Files)?);
    let mut samples = Vec::new();
    for entry in record() {
        let scenario = Arc::new((entry.scenario)());
        let fetch = ScenarioFetch::new(Arc::clone(&scenario));
        let mut recollection = Recollection::default();
        for look in entry.before.iter().chain([&entry.subject]) {
            let coordinate = look.purl.parse()?;
            let judged = recollection
                .look(&judge, &fetch, &no_address(), &coordinate, look.at)
                .await?;
            samples.extend(texts_of(&judged)?);
        }
    }
    let dictionary = zstd::dict::from_samples(&samples, MOST)?;
    std::fs::write(file, &dictionary).with_context(|| format!("{file} cannot be written"))?;
    writeln!(
        std::io::stdout(),
        "{} bytes of {} texts",
        dictionary.len(),
        samples.len()
    )?;
    Ok(())
}

/// What the store keeps of a look, as it is before it is compressed.
fn texts_of(judged: &Judged) -> Result<Vec<Vec<u8>>> {
    let mut texts = vec![
        folded(&serde_json::to_vec(&judged.verdict)?),
        folded(&serde_json::to_vec(&judged.case.dossier)?),
    ];
    for observation in &judged.case.dossier.observations {
        texts.push(folded(&serde_json::to_vec(observation)?));
        if let Answer::Answered(response) = &observation.answer
            && let Kept::Whole { body } | Kept::Excerpt { body } = &response.kept
        {
            texts.push(folded(&body.0));
        }
    }
    Ok(texts)
}
