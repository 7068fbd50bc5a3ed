//! What other verifiers say of a version.

use std::future::Future;
use std::time::Duration;

use futures::future::{OptionFuture, join, join_all};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use super::asking::Asking;
use super::{Freshness, Service, ServiceFault};
use crate::dossier::{Observation, Subject};
use crate::network::{Comparison, Heard, Peer, PeerAgreement, PeerAnswer, Report, Testimony, Unheard, compare, hear};
use crate::package::{Coordinate, PackageVersion};
use crate::ports::{Fetch as _, Keep, Measurement, Request, SignFault, StoreFault};
use crate::summary::{Payload, PublicKey};
use crate::verdict::Verdict;

/// The most that is read of a signed verdict, in bytes: that of a version of hundreds of files has some hundred thousand.
const LIMIT: u64 = 2 << 20;

/// How much time there has to be for looking again to be worth it: one that runs out of time is a look all the same.
const WORTHWHILE: Duration = Duration::from_secs(10);

/// What is asked of peers.
struct Question {
    package: PackageVersion,
    /// How old a look has to be to be made again.
    fresh_after: SignedDuration,
    now: Timestamp,
}

impl Question {
    fn is_old(&self, testimony: &Testimony) -> bool {
        self.now.duration_since(testimony.checked_at) >= self.fresh_after
    }
}

/// What comes of something that its own key or store may let hang, by the end of the time that there is for it.
async fn in_time<T>(
    until: Option<Instant>,
    work: impl Future<Output = Result<T, ServiceFault>>,
) -> Result<T, ServiceFault> {
    match until {
        Some(until) => timeout_at(until, work)
            .await
            .unwrap_or_else(|elapsed| Err(SignFault::Unreachable(Box::new(elapsed)).into())),
        None => work.await,
    }
}

impl Service {
    /// What the peers say of a version, and whether they agree with this verifier:
    ///
    /// 1. takes its own verdict, which is made if there is none;
    /// 2. asks all peers for theirs, at the same time, and for its own keys, which no other one signs with;
    /// 3. where a peer says something else, has those looks made again, here and there, that are older than `fresh_after`: another
    ///    time is no other view, but of other bytes;
    /// 4. compares, and signs its own verdict where a peer was shown something else, so that both words can be proved.
    ///
    /// What peers say is not remembered, and no verdict depends on it. A key that does not answer in time costs what it is for, and
    /// not the answers of the peers.
    ///
    /// # Errors
    ///
    /// That there is no peer, or no verdict of its own. A peer that is not heard is no error, and neither is a signature that is not made.
    pub async fn compare_with_peers(
        &self,
        coordinate: &Coordinate,
        fresh_after: SignedDuration,
        now: Timestamp,
    ) -> Result<Report, ServiceFault> {
        if self.peers.is_empty() {
            return Err(ServiceFault::NoPeers);
        }
        // 1.
        let mut verdict = self
            .verdict_as_fresh_as(coordinate, Freshness::Remembered, now)
            .await?
            .verdict;
        let question = Question {
            package: verdict.package.clone(),
            fresh_after,
            now,
        };
        // 2.
        let own = in_time(self.until.map(|until| until.asking), self.own_keys());
        let asked = self.peers.iter().map(|peer| self.ask(peer, &question, false));
        let (own, answers) = join(own, join_all(asked)).await;
        let own = own.unwrap_or_else(|fault| {
            // One that is named as its own peer may go unnoticed then.
            tracing::warn!(error = %fault, "the key of this verifier is not known while peers are asked");
            self.signing.earlier.clone()
        });
        let answers = self.peers.iter().zip(&answers);
        let mut heard: Vec<_> = answers
            .map(|(peer, answer)| hear(peer, &own, &question.package, answer))
            .collect();
        // 3.
        if let Some(again) = self.look_again(&read(&verdict)?, &mut heard, &question, &own).await? {
            verdict = again;
        }
        // 4.
        let ours = read(&verdict)?;
        let answers = self.peers.iter().zip(heard);
        let answers = answers.map(|(peer, heard)| PeerAnswer::of(peer, &ours, heard));
        let mut report = Report::new(&ours, answers.collect());
        self.tell_of(&report, now);
        if report.result == PeerAgreement::SplitView && self.signing.signer.is_some() {
            let until = self.until.map(|until| until.answering);
            match in_time(until, self.testify(&verdict)).await {
                Ok(envelope) => report.envelope = Some(envelope),
                Err(fault) => tracing::warn!(error = %fault, "what peers differ from was not signed"),
            }
        }
        Ok(report.bounded())
    }

    /// Makes looks again that are old, where a peer differs, and returns the verdict of its own, if that was one of them:
    ///
    /// 1. Other bytes are a split view whatever comes after. That peer is not asked again, and this verifier stays with the verdict from
    ///    which it differs.
    /// 2. Its own look is made again where anything else differs, and at the same time every old one of a peer: who agreed with the
    ///    former verdict may differ from the next one by time alone.
    /// 3. What was said before stands where nothing comes of looking again, or where it proves other bytes by now.
    async fn look_again(
        &self,
        ours: &Testimony,
        heard: &mut [Result<Heard, Unheard>],
        question: &Question,
        own: &[PublicKey],
    ) -> Result<Option<Verdict>, StoreFault> {
        let is_time = self
            .until
            .is_none_or(|until| until.asking.saturating_duration_since(Instant::now()) >= WORTHWHILE);
        let compared = self.peers.iter().zip(heard).filter_map(|(peer, heard)| {
            let heard = heard.as_mut().ok()?;
            let comparison = compare(ours, &heard.testimony);
            Some((peer, heard, comparison))
        });
        // 1.
        let (proved, open): (Vec<_>, Vec<_>) = compared.partition(|(_, _, comparison)| comparison.is_final());
        let agrees = |comparison: &Comparison| comparison.agreement == PeerAgreement::Agree;
        if !is_time || open.iter().all(|(_, _, comparison)| agrees(comparison)) {
            return Ok(None);
        }
        // 2.
        let is_own_look = proved.is_empty() && question.is_old(ours);
        let own_look = OptionFuture::from(is_own_look.then(|| self.look_of_its_own(question)));
        let theirs = open
            .into_iter()
            .filter(|(_, heard, comparison)| question.is_old(&heard.testimony) && (is_own_look || !agrees(comparison)));
        let theirs = theirs.map(|(peer, heard, comparison)| async move {
            let answer = self.ask(peer, question, true).await;
            let again = hear(peer, own, &question.package, &answer).ok()?;
            Some((heard, again, comparison))
        });
        let (own_look, theirs) = join(own_look, join_all(theirs)).await;
        // 3.
        let theirs: Vec<_> = theirs.into_iter().flatten().collect();
        let is_split_from = |ours: &Testimony, word: &Heard| compare(ours, &word.testimony).is_final();
        // One that could not be decided leaves the former verdict.
        let verdict = own_look
            .flatten()
            .filter(|verdict| verdict.checked_at > ours.checked_at)
            .filter(|_| !theirs.iter().any(|(_, again, _)| is_split_from(ours, again)));
        let next = verdict.as_ref().map(read).transpose()?;
        for (heard, again, comparison) in theirs {
            let stands = match &next {
                Some(next) => is_split_from(next, heard),
                None => agrees(&comparison) && !is_split_from(ours, &again),
            };
            if !stands {
                *heard = again;
            }
        }
        Ok(verdict)
    }

    async fn look_of_its_own(&self, question: &Question) -> Option<Verdict> {
        let coordinate = Coordinate::from(question.package.clone());
        let freshness = Freshness::Within(question.fresh_after);
        match self.verdict_as_fresh_as(&coordinate, freshness, question.now).await {
            Ok(looked) => Some(looked.verdict),
            Err(fault) => {
                tracing::warn!(package = %question.package, error = %fault, "what peers differ about was not looked at again");
                None
            }
        }
    }

    /// What a peer answers.
    async fn ask(&self, peer: &Peer, question: &Question, fresh: bool) -> Observation {
        let request = Request {
            subject: Subject::PeerVerdict,
            url: peer.address(&question.package, fresh),
            accept: "application/json",
            keep: Keep::Whole,
            limit: LIMIT,
            at: question.now,
            previous: None,
            modified_since: None,
            post: None,
            uncached: fresh,
            // A look may take a peer longer than one attempt waits; the next attempt finds what it came to.
            insist: true,
            redirects: 0,
        };
        Asking::new(&*self.fetch, self.until).fetch(request).await
    }

    fn tell_of(&self, report: &Report, now: Timestamp) {
        let Report { package, agreeing, .. } = report;
        let (agreement, peers) = (report.result.as_str(), report.peers.len());
        if report.result == PeerAgreement::SplitView {
            for answer in &report.peers {
                let Some(says) = answer
                    .says
                    .as_ref()
                    .filter(|_| answer.agreement == PeerAgreement::SplitView)
                else {
                    continue;
                };
                let differences: Vec<&str> = answer.differences.iter().map(|difference| &*difference.what).collect();
                tracing::warn!(
                    event = "peer.splitView",
                    %package,
                    peer = answer.peer,
                    differences = differences.join(","),
                    evidence = %report.ours.evidence,
                    checkedAt = %report.ours.checked_at,
                    peerEvidence = %says.evidence,
                    peerCheckedAt = %says.checked_at,
                    "a peer was shown something else"
                );
            }
        }
        tracing::info!(event = "peers.compared", %package, agreement, agreeing, peers, "peers were asked");
        self.meter.measure(&Measurement::Comparison(report.result), now);
    }
}

/// Its own verdict, read as those of others are.
fn read(verdict: &Verdict) -> Result<Testimony, StoreFault> {
    serde_json::from_slice(&Payload::verdict(verdict).bytes)
        .map_err(|source| StoreFault::Corrupt(format!("the verdict on {}: {source}", verdict.package)))
}
