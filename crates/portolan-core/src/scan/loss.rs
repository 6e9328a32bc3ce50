//! How many probes get lost, and what follows: how often a silent port has to be asked.
//!
//! The evidence are trials: questions to what is known to answer. A port that answers and was asked
//! `n` times was silent each time with probability `p^n`, where `p` is the share of round trips lost;
//! `p` itself is known only as well as the trials tell (a beta distribution over it). While no
//! trial was lost, as much is put on a path that loses nothing at all as on any other.

/// Trials and their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    answered: u32,
    lost: u32,
}

impl Loss {
    /// Takes in trials.
    pub(super) fn note(&mut self, answered: u32, lost: u32) {
        self.answered = self.answered.saturating_add(answered);
        self.lost = self.lost.saturating_add(lost);
    }

    /// A trial that was called lost was answered after all.
    pub(super) fn was_late(&mut self) {
        self.lost = self.lost.saturating_sub(1);
        self.answered += 1;
    }

    /// How many trials there were.
    pub(super) const fn trials(&self) -> u32 {
        self.answered + self.lost
    }

    /// The share that was lost; `None` before the first trial.
    pub(super) fn share(&self) -> Option<f64> {
        (self.trials() > 0).then(|| f64::from(self.lost) / f64::from(self.trials()))
    }

    /// Whether more than `share` is lost with hardly a doubt: two standard deviations away.
    pub(super) fn is_surely_above(&self, share: f64) -> bool {
        let trials = f64::from(self.trials());
        trials >= 16.0
            && f64::from(self.lost) > trials * share + 2.0 * (trials * share * (1.0 - share)).sqrt()
    }

    /// The probability that a port that answers was silent in every one of `tries` tries.
    pub(super) fn miss(&self, tries: u16) -> f64 {
        let (lost, answered) = (f64::from(self.lost), f64::from(self.answered));
        // The mean of p^tries where p is distributed as Beta(lost + 1, answered + 1).
        let mean = (0..tries)
            .map(f64::from)
            .fold(1.0, |product, i| product * (lost + 1.0 + i) / (lost + answered + 2.0 + i));
        if self.lost == 0 { mean / (answered + 2.0) } else { mean }
    }

    /// The fewest tries, at least `least`, after which silence is proof enough where `answering`
    /// ports of the host answer; `None` where no reasonable number is.
    pub(super) fn tries_for(&self, answering: u32, least: u16) -> Option<u16> {
        let answering = f64::from(answering) + 1.0;
        (least..=MOST_TRIES).find(|tries| {
            let miss = self.miss(*tries);
            miss <= MISS_A_PORT && miss * answering <= MISS_A_HOST
        })
    }
}

/// A silent port may have been missed with this probability at most,
pub(super) const MISS_A_PORT: f64 = 1e-3;
/// where it cannot be helped with this one, beyond which nothing is claimed,
pub(super) const DOUBTFUL: f64 = 0.01;
/// and of all answering ports of a host so many may be expected to have been.
const MISS_A_HOST: f64 = 2e-4;
/// Beyond this many tries loss is no longer a matter of arithmetic.
const MOST_TRIES: u16 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answered: u32, lost: u32) -> Loss {
        let mut loss = Loss::default();
        loss.note(answered, lost);
        loss
    }

    #[test]
    fn without_loss_two_tries_do_once_enough_was_answered() {
        assert_eq!(of(64, 0).tries_for(10, 2), Some(2));
        assert!(of(8, 0).tries_for(10, 2) > Some(2));
    }

    #[test]
    fn a_third_lost_takes_about_twenty_tries() {
        let tries = of(128, 72).tries_for(1000, 2).unwrap();
        assert!((16..=22).contains(&tries), "{tries}");
    }

    #[test]
    fn nearly_everything_lost_is_beyond_counting() {
        assert_eq!(of(1, 60).tries_for(1, 2), None);
        assert_eq!(Loss::default().tries_for(0, 2), None);
    }

    #[test]
    fn every_further_try_makes_a_miss_less_likely() {
        for loss in [of(10, 0), of(10, 5), of(100, 40)] {
            assert!((1..30).all(|n| loss.miss(n + 1) < loss.miss(n)));
        }
    }

    #[test]
    fn a_late_answer_is_no_loss() {
        let mut loss = of(3, 1);
        loss.was_late();
        assert_eq!(loss, of(4, 0));
    }
}
