//! What other verifiers say of a version.

use futures::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use sigstore::types::DsseEnvelope;

use super::asking::Asking;
use super::{Freshness, Service, ServiceFault};
use crate::dossier::Subject;
use crate::network::{Agreement, Answer, Peer, Report, Testimony, Unheard, compare, hear};
use crate::package::{Coordinate, PackageVersion};
use crate::ports::{Fetch as _, Keep, Measurement, Request};
use crate::summary::PublicKey;

/// The most that is read of a signed verdict, in bytes: of a version of hundreds of files it is long.
const LIMIT: u64 = 8 << 20;

/// What a peer says, with what it signed, or why it was not heard.
type Heard = Result<(Testimony, DsseEnvelope), Unheard>;

/// Whom a version is compared with, and as of when.
struct Round<'a> {
    package: &'a PackageVersion,
    own: &'a [PublicKey],
    now: Timestamp,
}

/// What a peer says, if it was heard and does not say the same.
fn differing_from<'a>(ours: &Testimony, heard: &'a Heard) -> Option<&'a Testimony> {
    let (theirs, _) = heard.as_ref().ok()?;
    (compare(ours, theirs).agreement != Agreement::Agree).then_some(theirs)
}

impl Service {
    /// What the peers say of a version, and whether they agree with this verifier:
    ///
    /// 1. takes its own word, which is made if there is none;
    /// 2. asks all peers for theirs, at the same time;
    /// 3. where a peer says something else, and a look of either was longer ago than `fresh_after`, looks again, asks for another
    ///    look there, and compares these: another time is no other view.
    ///
    /// What peers say is not remembered, and no verdict depends on it.
    pub async fn compare_notes(
        &self,
        coordinate: &Coordinate,
        fresh_after: SignedDuration,
        now: Timestamp,
    ) -> Result<Report, ServiceFault> {
        if self.peers.is_empty() {
            return Err(ServiceFault::NoPeers);
        }
        // 1.
        let looked = self.verdict_as_fresh_as(coordinate, Freshness::Remembered, now).await?;
        let package = looked.verdict.package.clone();
        let mut ours = Testimony::from(&looked.verdict);
        let own = self.own_keys().await?;
        let round = Round {
            package: &package,
            own: &own,
            now,
        };
        // 2.
        let asked = self.peers.iter().map(|peer| self.word_of(peer, &round, false));
        let mut heard: Vec<Heard> = join_all(asked).await;
        // 3.
        let is_old = |testimony: &Testimony| now.duration_since(testimony.checked_at) >= fresh_after;
        let differing: Vec<&Testimony> = heard.iter().filter_map(|heard| differing_from(&ours, heard)).collect();
        let looks_again = !differing.is_empty() && is_old(&ours);
        if looks_again || differing.iter().any(|theirs| is_old(theirs)) {
            let again = self.peers.iter().zip(&heard).map(|(peer, heard)| {
                let is_asked = differing_from(&ours, heard).is_some_and(is_old);
                let round = &round;
                async move {
                    if is_asked {
                        self.word_of(peer, round, true).await.ok()
                    } else {
                        None
                    }
                }
            });
            let own_look = async {
                if !looks_again {
                    return None;
                }
                let coordinate = Coordinate::from(package.clone());
                let freshness = Freshness::Within(fresh_after);
                match self.verdict_as_fresh_as(&coordinate, freshness, now).await {
                    Ok(looked) => Some(Testimony::from(&looked.verdict)),
                    Err(fault) => {
                        tracing::warn!(%package, error = %fault, "a second look at what peers differ about was not possible");
                        None
                    }
                }
            };
            let (own_look, again) = join(own_look, join_all(again)).await;
            // What was heard before stands where nothing came of asking again.
            for (heard, again) in heard.iter_mut().zip(again) {
                if let Some(again) = again {
                    *heard = Ok(again);
                }
            }
            if let Some(again) = own_look {
                ours = again;
            }
        }
        let answers = self.peers.iter().zip(heard).map(|(peer, heard)| match heard {
            Ok((theirs, envelope)) => Answer::heard(peer, &ours, &theirs, envelope),
            Err(unheard) => Answer::unheard(peer, unheard),
        });
        let report = Report::new(package.clone(), &ours, answers.collect());
        self.tell_of(&report, now);
        Ok(report)
    }

    /// What a peer says of a version.
    async fn word_of(&self, peer: &Peer, round: &Round<'_>, fresh: bool) -> Heard {
        let request = Request {
            subject: Subject::PeerVerdict,
            url: peer.address(round.package, fresh),
            accept: "application/json",
            keep: Keep::Whole,
            limit: LIMIT,
            at: round.now,
            previous: None,
            modified_since: None,
            post: None,
            uncached: fresh,
            // A look may take a peer longer than one attempt waits; the next one finds what it came to.
            insist: true,
            redirects: 0,
        };
        let answer = Asking::new(&*self.fetch, self.until).fetch(request).await;
        hear(peer, round.own, round.package, &answer)
    }

    fn tell_of(&self, report: &Report, now: Timestamp) {
        let (package, agreement, agreeing) = (&report.package, report.result.as_str(), report.agreeing);
        let peers = report.peers.len();
        if report.result == Agreement::SplitView {
            let split: Vec<&str> = report
                .peers
                .iter()
                .filter(|answer| answer.agreement == Agreement::SplitView)
                .map(|answer| &*answer.peer)
                .collect();
            let split = split.join(",");
            tracing::warn!(event = "peers.compared", %package, agreement, agreeing, peers, split, "peers were shown something else");
        } else {
            tracing::info!(event = "peers.compared", %package, agreement, agreeing, peers, "peers were asked");
        }
        self.meter.measure(&Measurement::Comparison(report.result), now);
    }
}
