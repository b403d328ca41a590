//! Limits how much somebody may send: so much at once after a pause, and so much a second on
//! average. It does not know what is sent.

/// An allowance that is used up and grows again.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    burst: u32,
    per_s: u32,
    left: u32,
    /// What has grown since it was last a whole one, in parts of a second's ticks.
    growing: u32,
}

impl Allowance {
    /// A full one.
    pub(super) fn new(burst: u32, per_s: u32) -> Self {
        Self {
            burst,
            per_s,
            left: burst,
            growing: 0,
        }
    }

    /// Once a tick.
    pub(super) fn grow(&mut self, ticks_per_s: u32) {
        self.growing += self.per_s;
        if self.growing >= ticks_per_s {
            self.left = (self.left + self.growing / ticks_per_s).min(self.burst);
            self.growing %= ticks_per_s;
        }
    }

    /// True when nothing of it is used.
    pub(super) fn is_whole(&self) -> bool {
        self.left == self.burst
    }

    /// Uses one up. False when none is left.
    pub(super) fn spend(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(allowance: &mut Allowance) -> usize {
        std::iter::from_fn(|| allowance.spend().then_some(())).count()
    }

    #[test]
    fn it_takes_a_burst_and_then_so_many_a_second() {
        let mut allowance = Allowance::new(5, 3);
        assert_eq!(spent(&mut allowance), 5);
        for _ in 0..60 {
            allowance.grow(60);
        }
        assert_eq!(spent(&mut allowance), 3);
        for _ in 0..39 {
            allowance.grow(60);
        }
        assert_eq!(spent(&mut allowance), 1);
        allowance.grow(60);
        assert_eq!(spent(&mut allowance), 1);
    }

    #[test]
    fn it_never_holds_more_than_a_burst() {
        let mut allowance = Allowance::new(5, 120);
        for _ in 0..600 {
            allowance.grow(60);
        }
        assert_eq!(spent(&mut allowance), 5);
    }
}
