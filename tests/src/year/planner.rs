//! Planning who releases what, when, and who attacks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::chance::Chance;
use super::population::{Act, Attack, Line, Oddity, Package, Pipeline, Planned, Population, Project};
use super::{DAY, HOUR, MINUTE, Plan, SECOND};

/// How the version after another is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bump {
    Patch,
    Minor,
    Major,
    Pre,
}

/// A release before it has a number. `line` 0 is the newest at its time, others are older ones by their place in the past.
#[derive(Clone, Debug)]
struct Draft {
    at: Timestamp,
    old_line: bool,
    bump: Bump,
    act: Act,
    oddities: Vec<Oddity>,
    run: Option<u64>,
}

/// How a package is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// By hand, always.
    Never,
    /// Attested, always.
    Always,
    /// By hand until then, attested from then on.
    Adopts(Timestamp),
    /// Attested until then, by hand from then on.
    GivesUp(Timestamp),
    /// Attested, but for one or two releases from then on.
    Lapses(Timestamp),
}

/// The shares of packages, and of what may happen to them.
const ATTESTED: f64 = 0.2;
const IN_MONOREPOS: f64 = 0.3;
/// As many packages are attested at least, so that there is one for each kind of attack.
const FEWEST_ATTESTED: usize = 12;
/// How long before the year releases began.
const PREHISTORY: SignedDuration = SignedDuration::from_hours(24 * 120);
/// How far two releases of a package are apart, unless they are a burst.
const GAP: SignedDuration = SignedDuration::from_mins(50);

/// Plans a population.
pub(super) struct Planner<'a> {
    plan: &'a Plan,
    chance: Chance,
    population: Population,
    habits: Vec<Habit>,
    /// Of each package, whether it has an older line, and whether that is attested.
    old_lines: Vec<Option<bool>>,
    drafts: Vec<Vec<Draft>>,
    /// Who is attacked, and how.
    victims: BTreeMap<usize, Attack>,
}

impl<'a> Planner<'a> {
    /// Nothing is planned yet.
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            chance: Chance::new(plan.seed).of("population"),
            population: Population {
                projects: Vec::new(),
                packages: Vec::new(),
                releases: Vec::new(),
                withdrawn: Vec::new(),
            },
            habits: Vec::new(),
            old_lines: Vec::new(),
            drafts: Vec::new(),
            victims: BTreeMap::new(),
        }
    }

    /// Plans everything.
    pub(super) fn population(mut self) -> Population {
        self.found();
        self.release();
        self.attack();
        self.number();
        self.population
    }

    /// Founds projects and packages.
    fn found(&mut self) {
        let attested = share(self.plan.packages, ATTESTED).max(FEWEST_ATTESTED);
        let in_monorepos = share(attested, IN_MONOREPOS);
        self.choose_victims(in_monorepos, attested);
        let mut founded = 0;
        while founded < self.plan.packages {
            let mut chance = self.chance.of(&format!("package {founded}"));
            if founded < in_monorepos {
                let size = usize::try_from(chance.between(3, 8))
                    .unwrap_or(3)
                    .min(in_monorepos - founded);
                let project = self.found_project(&format!("mono-{founded}/mono"), &mut chance);
                for part in 0..size {
                    self.found_package(
                        format!("@mono-{founded}/part-{part}"),
                        Some(project),
                        Habit::Always,
                        None,
                    );
                }
                founded += size;
                continue;
            }
            let victim = self.victims.get(&founded).copied();
            let habit = if founded < attested && victim.is_some() {
                Habit::Always
            } else if founded < attested {
                self.attesting_habit(&mut chance)
            } else {
                Habit::Never
            };
            let name = if chance.happens(0.5) {
                format!("@owner-{founded}/tool-{founded}")
            } else {
                format!("tool-{founded}")
            };
            let project = match habit {
                Habit::Never => None,
                Habit::Always | Habit::Adopts(_) | Habit::GivesUp(_) | Habit::Lapses(_) => {
                    let project = format!("owner-{founded}/tool-{founded}");
                    Some(self.found_project(&project, &mut chance))
                }
            };
            let old_line = match victim {
                Some(Attack::TokenOnOldLine) => Some(true),
                Some(Attack::TokenOnUnattestedLine) => Some(false),
                Some(_) | None => chance.happens(0.35).then(|| chance.happens(0.7)),
            };
            self.found_package(name, project, habit, old_line);
            founded += 1;
        }
    }

    /// Chooses who is attacked, each by one attack, as evenly over the kinds as there are packages: attested ones that have a
    /// repository of their own, at most two in three of them, and some that never were attested.
    fn choose_victims(&mut self, in_monorepos: usize, attested: usize) {
        let never = self.plan.attacks.div_ceil(Attack::ALL.len());
        let with_pipeline = Attack::ALL
            .iter()
            .copied()
            .filter(|attack| *attack != Attack::NeverAttested);
        let most = ((attested - in_monorepos) * 2 / 3).max(Attack::ALL.len() - 1);
        let count = self.plan.attacks.saturating_sub(never).min(most);
        let chosen = (in_monorepos..attested).zip(with_pipeline.cycle()).take(count);
        self.victims.extend(chosen);
        self.victims.extend(
            (attested..self.plan.packages)
                .take(never)
                .map(|package| (package, Attack::NeverAttested)),
        );
    }

    fn attesting_habit(&self, chance: &mut Chance) -> Habit {
        let middle = self.plan.start() + chance.duration(DAY * 20, self.plan.length() / 10 * 8);
        match chance.between(0, 99) {
            0..6 => Habit::Adopts(middle),
            6..9 => Habit::GivesUp(middle),
            9..16 => Habit::Lapses(middle),
            _ => Habit::Always,
        }
    }

    fn found_project(&mut self, full_name: &str, chance: &mut Chance) -> usize {
        let number = self.population.projects.len();
        let middle = self.plan.start() + chance.duration(DAY * 10, self.plan.length() / 10 * 9);
        let retention = match chance.between(0, 99) {
            0..5 => DAY * 3,
            5..10 => DAY * 14,
            _ => DAY * 90,
        };
        let is_monorepo = full_name.starts_with("mono-");
        let pipeline = if is_monorepo || chance.happens(0.5) {
            Pipeline::Branches
        } else {
            Pipeline::Tags
        };
        self.population.projects.push(Project {
            full_name: full_name.to_owned(),
            id: 500_000_000 + number as u64,
            pipeline,
            tags_after: chance
                .happens(0.8)
                .then(|| chance.duration(SignedDuration::ZERO, MINUTE * 4)),
            reviews: chance.happens(0.7),
            environment: chance.happens(0.3),
            retention,
            renamed: chance.happens(0.05).then(|| {
                let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
                (middle, format!("{owner}/{name}-next"))
            }),
            workflow_moved: chance.happens(0.05).then_some(middle),
        });
        number
    }

    fn found_package(&mut self, name: String, project: Option<usize>, habit: Habit, old_line: Option<bool>) {
        self.population.packages.push(Package { name, project });
        self.habits.push(habit);
        self.old_lines.push(old_line);
        self.drafts.push(Vec::new());
    }

    /// Plans when what is released, for all packages of a project at once.
    fn release(&mut self) {
        let mut groups: BTreeMap<(bool, usize), Vec<usize>> = BTreeMap::new();
        for (index, package) in self.population.packages.iter().enumerate() {
            // What comes from one repository is released at once; packages without one are alone.
            let key = package.project.map_or((true, index), |project| (false, project));
            groups.entry(key).or_default().push(index);
        }
        let groups: Vec<Vec<usize>> = groups.into_values().collect();
        let mut weights: Vec<f64> = groups
            .iter()
            .map(|group| self.chance.weight() * f64::from(u32::try_from(group.len()).unwrap_or(1)))
            .collect();
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        let attacks = self.plan.attacks;
        let mut left = self.plan.releases.saturating_sub(attacks);
        let all = left;
        for (position, (group, weight)) in groups.iter().zip(&weights).enumerate() {
            let is_attacked = group.iter().any(|package| self.victims.contains_key(package));
            let fewest = if is_attacked { 8 } else { group.len() * 3 };
            let wanted = share(all, *weight).max(fewest).min(left);
            let count = if position + 1 == groups.len() {
                left.min(wanted.max(400))
            } else {
                wanted
            };
            left -= count;
            self.release_group(group, count);
        }
        // What rounding left over is released by those who publish by hand, in turn.
        let by_hand: Vec<usize> = (0..self.habits.len())
            .filter(|&index| self.habits.get(index) == Some(&Habit::Never))
            .collect();
        for turn in 0..left {
            let Some(&package) = by_hand.get(turn % by_hand.len().max(1)) else {
                break;
            };
            let mut chance = self.chance.of(&format!("one more {turn}"));
            let at = self.moment(&mut chance);
            self.draft(package, at, false, Bump::Patch, Vec::new(), None);
        }
        for drafts in &mut self.drafts {
            drafts.sort_by_key(|draft| draft.at);
            keep_apart(drafts);
        }
    }

    fn release_group(&mut self, group: &[usize], count: usize) {
        let first = group.first().copied().unwrap_or_default();
        let mut chance = self.chance.of(&format!("releases of {first}"));
        for &package in group {
            self.prehistory(package, &mut chance);
        }
        if group.len() > 1 {
            self.release_together(group, count, &mut chance);
            return;
        }
        let mut left = count;
        while left > 0 {
            let at = self.moment(&mut chance);
            let old_line = self.old_lines.get(first).copied().flatten();
            if old_line.is_some() && left > 1 && chance.happens(0.02) {
                // A fix of both lines within minutes.
                for (later, is_old) in [(0, false), (chance.between(2, 12), true)] {
                    self.draft(
                        first,
                        at + MINUTE * i32::try_from(later).unwrap_or_default(),
                        is_old,
                        Bump::Patch,
                        vec![Oddity::Burst],
                        None,
                    );
                    left -= 1;
                }
                continue;
            }
            let is_old = old_line.is_some() && chance.happens(0.15);
            let bump = if is_old { Bump::Patch } else { a_bump(&mut chance, true) };
            self.draft(first, at, is_old, bump, Vec::new(), None);
            left -= 1;
        }
    }

    /// Plans the releases of a repository with several packages: each of its runs releases most of them.
    fn release_together(&mut self, group: &[usize], count: usize, chance: &mut Chance) {
        let first = group.first().copied().unwrap_or_default() as u64;
        let mut runs: Vec<(Timestamp, Vec<usize>)> = Vec::new();
        let mut left = count;
        while left > 0 {
            let mut released: Vec<usize> = Vec::new();
            for &package in group {
                if left > 0 && (released.is_empty() || chance.happens(0.7)) {
                    released.push(package);
                    left -= 1;
                }
            }
            runs.push((self.moment(chance), released));
        }
        runs.sort();
        let mut last = Timestamp::MIN;
        for (number, (at, released)) in (1..).zip(runs) {
            last = if at < last { last } else { at };
            for (place, package) in (0..).zip(released) {
                let bump = a_bump(chance, false);
                let at = last + SECOND * 7 * place;
                self.draft(package, at, false, bump, Vec::new(), Some(first * 100_000 + number));
            }
            last += GAP;
        }
    }

    /// What was released before the year, from the oldest line to the newest, never two within days.
    fn prehistory(&mut self, package: usize, chance: &mut Chance) {
        let begin = self.plan.start() - PREHISTORY;
        let old_line = self.old_lines.get(package).copied().flatten();
        let mut day = chance.between(0, 5);
        for is_old in [true, false] {
            let count = if is_old && old_line.is_none() {
                0
            } else {
                chance.between(3, 5)
            };
            for _ in 0..count {
                let at = begin + DAY * i32::try_from(day).unwrap_or_default() + chance.duration(HOUR * 8, HOUR * 19);
                self.draft(package, at, is_old, Bump::Patch, Vec::new(), None);
                day += chance.between(3, 8);
            }
        }
    }

    fn draft(
        &mut self,
        package: usize,
        at: Timestamp,
        old_line: bool,
        bump: Bump,
        mut oddities: Vec<Oddity>,
        run: Option<u64>,
    ) {
        let attests_old_line = self.old_lines.get(package).copied().flatten().unwrap_or(true);
        let by_hand = old_line && !attests_old_line;
        let act = match self.habits.get(package) {
            None | Some(Habit::Never) => Act::ByHand,
            Some(_) if by_hand => Act::ByHand,
            Some(Habit::Adopts(since)) if at < *since => Act::ByHand,
            Some(Habit::GivesUp(since)) if at >= *since => Act::Lapse,
            Some(Habit::Lapses(since)) if at >= *since && at < *since + DAY * 5 => Act::Lapse,
            Some(Habit::Always | Habit::Adopts(_) | Habit::GivesUp(_) | Habit::Lapses(_)) => Act::Pipeline,
        };
        match act {
            Act::Lapse => oddities.push(Oddity::Lapse),
            Act::Pipeline | Act::ByHand | Act::Attack(_) => {}
        }
        if let Some(drafts) = self.drafts.get_mut(package) {
            drafts.push(Draft {
                at,
                old_line,
                bump,
                act,
                oddities,
                run,
            });
        }
    }

    /// A time in the year: on working days rather than on others, by day rather than by night, and not on the last days.
    fn moment(&self, chance: &mut Chance) -> Timestamp {
        let days = self.plan.length().as_hours() / 24 - 2;
        loop {
            let day = chance.between(0, days.max(1));
            let is_free = day % 7 >= 5;
            if is_free && chance.happens(0.7) {
                continue;
            }
            let seconds = i64::midpoint(chance.between(0, 86_399), chance.between(0, 86_399));
            return self.plan.start()
                + DAY * i32::try_from(day).unwrap_or_default()
                + SignedDuration::from_secs(seconds);
        }
    }

    /// Plants the attacks.
    fn attack(&mut self) {
        for (&package, &attack) in &self.victims {
            let Some(draft) = self.opportunity(package, attack) else {
                continue;
            };
            if let Some(drafts) = self.drafts.get_mut(package) {
                drafts.push(draft);
                drafts.sort_by_key(|draft| draft.at);
            }
        }
    }

    /// The attack on a package, where there is a gap between two releases after enough honest ones.
    fn opportunity(&self, package: usize, attack: Attack) -> Option<Draft> {
        let is_old = match attack {
            Attack::TokenOnOldLine | Attack::TokenOnUnattestedLine => true,
            Attack::Token
            | Attack::StolenIdentity
            | Attack::ThrowAwayBranch
            | Attack::Comment
            | Attack::SwappedTarball
            | Attack::OtherBytes
            | Attack::NeverAttested => false,
        };
        let drafts = self.drafts.get(package)?;
        let earliest = self.plan.start() + DAY * 3;
        // What is done within the last month may be looked at after the year's end only.
        let latest = self.plan.end() - DAY * 36;
        let mut chance = self.chance.of(&format!("attack on {package}"));
        let mut candidates = Vec::new();
        for (index, pair) in drafts.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            let at = earliest.max(before.at + HOUR * 26);
            // A line that was opened within these releases has too few of them.
            let settled = drafts
                .iter()
                .take(index + 1)
                .rev()
                .filter(|draft| draft.old_line == is_old)
                .take_while(|draft| draft.bump != Bump::Major && draft.bump != Bump::Minor)
                .filter(|draft| draft.bump == Bump::Patch)
                .count();
            if at < latest && at + GAP * 2 < after.at && settled >= 4 {
                let spare = after.at.duration_since(at) - GAP;
                candidates.push(at + chance.duration(SignedDuration::ZERO, spare.min(DAY * 3)));
            }
        }
        Some(Draft {
            at: *chance.pick(&candidates)?,
            old_line: is_old,
            bump: Bump::Patch,
            act: Act::Attack(attack),
            oddities: Vec::new(),
            run: None,
        })
    }

    /// Gives every release its number, and decides what else becomes of it.
    fn number(&mut self) {
        for (package, drafts) in std::mem::take(&mut self.drafts).into_iter().enumerate() {
            let mut chance = self.chance.of(&format!("numbers of {package}"));
            let mut numbers = Numbers::new(&mut chance);
            let is_attacked = drafts.iter().any(|draft| matches!(draft.act, Act::Attack(_)));
            let project = self
                .population
                .packages
                .get(package)
                .and_then(|package| package.project);
            let pipeline = project.and_then(|project| Some(self.population.projects.get(project)?.pipeline));
            for draft in drafts {
                let version = numbers.next(&draft);
                let mut planned = Planned {
                    package,
                    line: line_of(&version),
                    version,
                    is_backport: draft.old_line,
                    at: draft.at,
                    act: draft.act,
                    oddities: draft.oddities,
                    run: draft.run,
                    run_ends_after: None,
                    fails_afterwards: false,
                    second_attempt: false,
                    run_deleted_after: None,
                    removed_after: None,
                    swapped_after: None,
                };
                let (_, _, is_prerelease) = planned.line;
                if pipeline == Some(Pipeline::Branches) && (planned.is_backport || is_prerelease) {
                    planned.oddities.push(Oddity::OtherBranch);
                }
                self.embellish(&mut planned, &mut chance);
                self.population.releases.push(planned);
            }
            let whole = self.plan.start() + chance.duration(DAY * 30, self.plan.length() - DAY * 10);
            if chance.happens(0.002) && !is_attacked {
                self.population
                    .releases
                    .retain(|release| release.package != package || release.at < whole);
                self.population.withdrawn.push((package, whole));
            }
        }
    }

    fn embellish(&self, planned: &mut Planned, chance: &mut Chance) {
        let in_the_year = planned.at >= self.plan.start();
        let happens = |chance: &mut Chance, probability| chance.happens(probability) && in_the_year;
        match planned.act {
            Act::Pipeline => {
                if planned.run.is_none() {
                    planned.run_ends_after = happens(chance, 0.1).then(|| chance.duration(MINUTE * 2, HOUR));
                    planned.fails_afterwards = happens(chance, 0.03);
                    planned.second_attempt = happens(chance, 0.02);
                    planned.run_deleted_after = happens(chance, 0.02).then(|| chance.duration(HOUR * 2, DAY * 30));
                }
                planned.removed_after = happens(chance, 0.004).then(|| chance.duration(MINUTE * 5, DAY * 3));
            }
            Act::ByHand | Act::Lapse => {
                planned.removed_after = happens(chance, 0.004).then(|| chance.duration(MINUTE * 5, DAY * 3));
            }
            Act::Attack(attack) => {
                match attack {
                    Attack::SwappedTarball => planned.swapped_after = Some(chance.duration(MINUTE * 3, DAY * 9)),
                    Attack::Token
                    | Attack::TokenOnOldLine
                    | Attack::TokenOnUnattestedLine
                    | Attack::StolenIdentity
                    | Attack::ThrowAwayBranch
                    | Attack::Comment
                    | Attack::OtherBytes
                    | Attack::NeverAttested => {
                        // Half of them are noticed, hours later.
                        planned.removed_after = chance.happens(0.5).then(|| chance.duration(HOUR * 3, DAY * 2));
                    }
                }
            }
        }
    }
}

/// The numbers of a package's releases.
struct Numbers {
    newest: (u64, u64, u64),
    old: (u64, u64, u64),
    prerelease: u64,
}

impl Numbers {
    fn new(chance: &mut Chance) -> Self {
        // One package in five is not stable yet.
        let major = if chance.happens(0.2) { 0 } else { chance.between(2, 12) };
        let major = u64::try_from(major).unwrap_or_default();
        let newest = (major, u64::try_from(chance.between(1, 9)).unwrap_or(1), 0);
        let old = if major == 0 {
            (0, newest.1 - 1, 0)
        } else {
            (major - 1, 4, 0)
        };
        Self {
            newest,
            old,
            prerelease: 0,
        }
    }

    fn next(&mut self, draft: &Draft) -> String {
        let number = if draft.old_line {
            &mut self.old
        } else {
            &mut self.newest
        };
        let (major, minor, patch) = number;
        match draft.bump {
            Bump::Patch => *patch += 1,
            Bump::Minor => (*minor, *patch) = (*minor + 1, 0),
            Bump::Major => (*major, *minor, *patch) = (*major + 1, 0, 0),
            Bump::Pre => {
                self.prerelease += 1;
                return format!("{major}.{}.0-next.{}", *minor + 1, self.prerelease);
            }
        }
        format!("{major}.{minor}.{patch}")
    }
}

/// The line of a version.
fn line_of(version: &str) -> Line {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse().unwrap_or_default());
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    (major, (major == 0).then_some(minor), version.contains('-'))
}

fn a_bump(chance: &mut Chance, with_prereleases: bool) -> Bump {
    match chance.between(0, 99) {
        0..6 if with_prereleases => Bump::Pre,
        0..9 => Bump::Minor,
        9..11 => Bump::Major,
        _ => Bump::Patch,
    }
}

/// Moves releases that are closer than people release, unless they belong together.
fn keep_apart(drafts: &mut [Draft]) {
    let mut last: Option<(Timestamp, bool)> = None;
    for draft in drafts {
        let is_burst = draft.oddities.contains(&Oddity::Burst);
        if let Some((before, burst)) = last
            && draft.run.is_none()
            && draft.at < before + GAP
            && !(burst && is_burst)
        {
            draft.at = before + GAP;
        }
        last = Some((draft.at, is_burst));
    }
}

/// A part of a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of packages and releases, which are small, and parts between 0 and 1"
)]
fn share(of: usize, part: f64) -> usize {
    (of as f64 * part).round() as usize
}
