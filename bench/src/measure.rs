//! Measuring: a full verification and its limits, in turn.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use hekate::verdict::Status;
use rustix::time::{ClockId, clock_gettime};

use crate::cases::Specimen;
use crate::operations::{distinct, judge, observe};
use crate::replay::{Replay, count};

/// How thoroughly is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often everything has its turn.
    pub(crate) rounds: u32,
    /// For about how long a turn of full verifications lasts.
    pub(crate) turn: Duration,
}

/// Microseconds of processor time for one run, over all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The shortest.
    pub(crate) minimum: f64,
    /// The median.
    pub(crate) median: f64,
}

impl Times {
    fn of(rounds: &[f64]) -> Self {
        Self {
            minimum: rounds.iter().copied().fold(f64::INFINITY, f64::min),
            median: median(rounds.iter().copied()),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What was measured of one case.
#[derive(Debug)]
pub(crate) struct Result {
    /// The name of the case.
    pub(crate) name: String,
    /// What every verification said.
    pub(crate) status: Status,
    /// The signature operations of one verification, by curve.
    pub(crate) operations: BTreeMap<&'static str, usize>,
    /// The same without those that repeat an earlier one.
    pub(crate) distinct: BTreeMap<&'static str, usize>,
    /// A full verification.
    pub(crate) full: Times,
    /// Its signature operations alone.
    pub(crate) limit: Times,
    /// The distinct ones alone.
    pub(crate) distinct_limit: Times,
    /// Which share of a verification its signature operations are: the median over the rounds, each of which compares
    /// what was measured within one moment.
    pub(crate) ratio: f64,
    /// Which share the distinct ones are.
    pub(crate) distinct_ratio: f64,
}

impl Result {
    /// Full verifications per second on one core.
    pub(crate) fn per_second(&self) -> f64 {
        1e6 / self.full.median
    }
}

/// Measures one case. Every verdict must be `attested`.
pub(crate) fn measure(specimen: &Specimen, effort: Effort) -> anyhow::Result<Result> {
    let case = &specimen.case;
    let judge = judge(case)?;
    let full = || {
        let judgement = judge.judge(black_box(&case.dossier), &case.memory, case.decided_at);
        let verdict = black_box(judgement).verdict;
        anyhow::ensure!(
            verdict.status == Status::Attested,
            "the verdict is {} instead of attested, by {:?}",
            verdict.status,
            verdict.decided_by
        );
        Ok(())
    };
    full()?;

    let operations = observe(case)?;
    let distinct = distinct(&operations);
    let (all_again, distinct_again) = (Replay::new(&operations)?, Replay::new(&distinct)?);
    let limit = || black_box(&all_again).run();
    let distinct_limit = || black_box(&distinct_again).run();

    let runs = runs_per_turn(effort.turn, &full)?;
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..effort.rounds {
        let turns: [&dyn Fn() -> anyhow::Result<()>; 3] = [&full, &limit, &distinct_limit];
        for (times, work) in rounds.iter_mut().zip(turns) {
            times.push(microseconds(runs, work)?);
        }
    }
    let [full, limit, distinct_limit] = &rounds;
    let share = |part: &[f64]| median(part.iter().zip(full).map(|(part, full)| part / full));
    Ok(Result {
        name: specimen.name.clone(),
        status: Status::Attested,
        operations: count(&operations)?,
        distinct: count(&distinct)?,
        ratio: share(limit),
        distinct_ratio: share(distinct_limit),
        full: Times::of(full),
        limit: Times::of(limit),
        distinct_limit: Times::of(distinct_limit),
    })
}

/// How many runs fill a turn; measuring it warms everything up.
fn runs_per_turn(turn: Duration, work: &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<u32> {
    let begin = processor_time();
    let mut runs = 0;
    while runs == 0 || processor_time().saturating_sub(begin) < turn {
        work()?;
        runs += 1;
    }
    Ok(runs)
}

/// Processor time of one run, in microseconds.
fn microseconds(runs: u32, work: &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begin = processor_time();
    for _ in 0..runs {
        work()?;
    }
    let spent = processor_time().saturating_sub(begin);
    Ok(spent.as_secs_f64() * 1e6 / f64::from(runs))
}

/// The processor time that this thread has had. Unlike the wall clock it does not run while others have the core.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use testbed::Release;

    use super::*;
    use crate::cases::{generated, released};

    #[test]
    fn what_is_not_attested_is_not_measured() -> anyhow::Result<()> {
        let specimen = released("bent", Release::honest("a", "1.0.0").tarball_swapped_by_one_byte())?;
        let effort = Effort {
            rounds: 1,
            turn: Duration::ZERO,
        };
        let error = measure(&specimen, effort)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("the verdict is mismatch instead of attested"),
            "{error:?}"
        );
        Ok(())
    }

    #[test]
    fn every_generated_release_is_attested() -> anyhow::Result<()> {
        for specimen in generated()? {
            let case = specimen.case;
            let judgement = judge(&case)?.judge(&case.dossier, &case.memory, case.decided_at);
            assert_eq!(judgement.verdict.status, Status::Attested, "{}", specimen.name);
        }
        Ok(())
    }

    #[test]
    fn one_slow_round_does_not_move_the_median() {
        assert!((median([3.0, 900.0, 2.0].into_iter()) - 3.0).abs() < f64::EPSILON);
    }
}
