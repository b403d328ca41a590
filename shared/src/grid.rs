//! Finds what is near: points sorted into square cells. It knows no entity.

use bevy_math::Vec2;

/// Cells of one grid. With larger worlds the cells grow, so that a far outlier costs no memory.
const CELLS_MAX: usize = 16_384;

/// Points in cells. Filled anew for each use; nothing is allocated once it has been as large as
/// it gets.
#[derive(Debug, Default)]
pub struct Grid {
    origin: Vec2,
    cell: f32,
    columns: usize,
    rows: usize,
    /// For each cell where its points begin in `points`, and the end after the last.
    starts: Vec<u32>,
    points: Vec<u32>,
}

impl Grid {
    /// Sorts these points into cells of that size. A point that is no place is left out.
    pub fn fill(&mut self, cell: f32, places: &[Vec2]) {
        let real = || places.iter().filter(|place| place.is_finite());
        let low = real().copied().reduce(Vec2::min).unwrap_or(Vec2::ZERO);
        let high = real().copied().reduce(Vec2::max).unwrap_or(Vec2::ZERO);
        self.origin = low;
        self.cell = cell.max(f32::MIN_POSITIVE);
        loop {
            let extent = (high - low) / self.cell;
            self.columns = whole(extent.x).saturating_add(1);
            self.rows = whole(extent.y).saturating_add(1);
            if self.columns.saturating_mul(self.rows) <= CELLS_MAX {
                break;
            }
            self.cell *= 2.0;
        }
        self.sort(places);
    }

    /// A counting sort: how many in each cell, where each begins, then each to its place.
    fn sort(&mut self, places: &[Vec2]) {
        self.starts.clear();
        self.starts.resize(self.columns * self.rows + 1, 0);
        for place in places.iter().filter(|place| place.is_finite()) {
            let cell = self.cell_of(*place);
            self.starts[cell + 1] += 1;
        }
        for cell in 1..self.starts.len() {
            self.starts[cell] += self.starts[cell - 1];
        }
        let count = self.starts.last().copied().unwrap_or(0) as usize;
        self.points.clear();
        self.points.resize(count, 0);
        // From the back, so that the starts end up where the cells begin.
        for (index, place) in places.iter().enumerate().rev() {
            if place.is_finite() {
                let cell = self.cell_of(*place) + 1;
                self.starts[cell] -= 1;
                self.points[self.starts[cell] as usize] = u32::try_from(index).unwrap_or(u32::MAX);
            }
        }
        self.starts.push(u32::try_from(count).unwrap_or(u32::MAX));
        self.starts.remove(0);
    }

    fn cell_of(&self, place: Vec2) -> usize {
        let at = (place - self.origin) / self.cell;
        let column = whole(at.x).min(self.columns - 1);
        let row = whole(at.y).min(self.rows - 1);
        row * self.columns + column
    }

    /// Indices of the points that may lie within `radius` of a place; some are farther. In no
    /// particular order, but always the same.
    pub fn near(&self, place: Vec2, radius: f32) -> impl Iterator<Item = usize> + '_ {
        let low = (place - Vec2::splat(radius) - self.origin) / self.cell;
        let high = (place + Vec2::splat(radius) - self.origin) / self.cell;
        let columns =
            whole(low.x).min(self.columns)..whole(high.x).saturating_add(1).min(self.columns);
        let rows = whole(low.y).min(self.rows)..whole(high.y).saturating_add(1).min(self.rows);
        rows.flat_map(move |row| {
            let first = row * self.columns;
            self.span(
                first + columns.start,
                first + columns.end.max(columns.start),
            )
        })
    }

    /// The points of neighbouring cells of one row, which lie side by side.
    fn span(&self, first: usize, end: usize) -> impl Iterator<Item = usize> + '_ {
        let start_of = |cell: usize| self.starts.get(cell).map_or(0, |start| *start as usize);
        let points = self.points.get(start_of(first)..start_of(end));
        points.unwrap_or(&[]).iter().map(|point| *point as usize)
    }
}

/// The whole part; 0 below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f32 saturates, and NaN is 0"
)]
fn whole(value: f32) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Vec2> {
        (-50.0f32..50.0, -20.0f32..90.0).prop_map(Vec2::from)
    }

    proptest! {
        #[test]
        fn everything_within_the_radius_is_found_once(
            places in prop::collection::vec(place(), 0..200),
            from in place(),
            radius in 0.0f32..40.0,
            cell in 0.1f32..30.0,
        ) {
            let mut grid = Grid::default();
            grid.fill(cell, &places);
            let mut found: Vec<usize> = grid.near(from, radius).collect();
            let count = found.len();
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(found.len(), count);
            for (index, place) in places.iter().enumerate() {
                if place.distance(from) <= radius {
                    prop_assert!(found.contains(&index), "{} is missing", place);
                }
            }
        }
    }

    #[test]
    fn what_is_no_place_is_nowhere_and_far_outliers_cost_no_memory() {
        let mut grid = Grid::default();
        let places = [
            Vec2::ZERO,
            Vec2::NAN,
            Vec2::splat(f32::INFINITY),
            Vec2::splat(1e30),
        ];
        grid.fill(1.0, &places);
        assert!(grid.columns * grid.rows <= CELLS_MAX);
        let found: Vec<usize> = grid.near(Vec2::ZERO, 1.0).collect();
        assert_eq!(found, [0]);
    }
}
