//! The solid boxes of a map, found by place, so that a large map costs no more than a small one.

use bevy_math::Vec2;
use serde::{Deserialize, Serialize};

/// Left, bottom, right, top of a solid box, metres.
pub type Wall = [f32; 4];

/// Side of a square cell, metres: about as long as the walls are.
const CELL_M: f32 = 10.0;
/// What lies so close to a cell counts as in it, metres. No body is as wide.
const MARGIN_M: f32 = 2.0;

/// Boxes, and which of them are near each place of the map.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(from = "Vec<Wall>", into = "Vec<Wall>")]
pub struct Walls {
    all: Vec<Wall>,
    columns: usize,
    /// Row by row from the origin.
    cells: Vec<Cell>,
}

/// Indices of boxes, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Cell {
    /// Those that lie in the cell.
    inside: Vec<u32>,
    /// And those that a body in it can touch.
    near: Vec<u32>,
}

impl From<Vec<Wall>> for Walls {
    fn from(all: Vec<Wall>) -> Self {
        let far = |side: usize| all.iter().map(|wall| wall[side]).fold(0.0, f32::max) + MARGIN_M;
        let (columns, rows) = (cell_at(far(2)) + 1, cell_at(far(3)) + 1);
        let mut cells = vec![Cell::default(); columns * rows];
        for (index, [left, bottom, right, top]) in all.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let (low, high) = (Vec2::new(*left, *bottom), Vec2::new(*right, *top));
            for (column, row) in cells_between(low, high) {
                cells[row * columns + column].inside.push(index);
            }
            for (column, row) in cells_between(low - MARGIN_M, high + MARGIN_M) {
                cells[row * columns + column].near.push(index);
            }
        }
        Self {
            all,
            columns,
            cells,
        }
    }
}

impl From<Walls> for Vec<Wall> {
    fn from(walls: Walls) -> Self {
        walls.all
    }
}

impl Walls {
    /// Every box.
    #[must_use]
    pub fn all(&self) -> &[Wall] {
        &self.all
    }

    /// All boxes that a body at this place can touch, in the order of the map.
    #[inline]
    pub fn near(&self, place: Vec2) -> impl Iterator<Item = &Wall> {
        let cell = self.cell(cell_at(place.x), cell_at(place.y));
        self.listed(cell.map_or(&[], |cell| &cell.near))
    }

    /// All boxes that lie on the straight way between two places. Some come more than once, some
    /// lie beside the way.
    #[inline]
    pub fn along(&self, from: Vec2, to: Vec2) -> impl Iterator<Item = &Wall> {
        cells_between(from.min(to), from.max(to))
            .filter_map(|(column, row)| self.cell(column, row))
            .flat_map(|cell| self.listed(&cell.inside))
    }

    /// Whether any box that the rectangle around two places touches is in the way. Asked for every
    /// pair that may see each other, so with few steps.
    pub fn any_between(&self, from: Vec2, to: Vec2, is_in_the_way: impl Fn(&Wall) -> bool) -> bool {
        let (low, high) = (from.min(to), from.max(to));
        let touches = |[left, bottom, right, top]: &Wall| {
            *left <= high.x && *right >= low.x && *bottom <= high.y && *top >= low.y
        };
        let columns = cell_at(low.x)..cell_at(high.x).saturating_add(1).min(self.columns);
        for row in cell_at(low.y)..=cell_at(high.y) {
            let first = row.saturating_mul(self.columns);
            let span = first.saturating_add(columns.start)..first.saturating_add(columns.end);
            // None past the last row or column.
            let cells = self.cells.get(span).unwrap_or_default();
            let blocks = |index: &u32| {
                let wall = &self.all[*index as usize];
                touches(wall) && is_in_the_way(wall)
            };
            if cells.iter().any(|cell| cell.inside.iter().any(blocks)) {
                return true;
            }
        }
        false
    }

    #[inline]
    fn cell(&self, column: usize, row: usize) -> Option<&Cell> {
        let is_inside = column < self.columns;
        self.cells
            .get(row * self.columns + column)
            .filter(|_| is_inside)
    }

    #[inline]
    fn listed<'a>(&'a self, indices: &'a [u32]) -> impl Iterator<Item = &'a Wall> {
        indices.iter().map(|index| &self.all[*index as usize])
    }
}

/// The cells, as column and row, that a rectangle touches.
#[inline]
fn cells_between(low: Vec2, high: Vec2) -> impl Iterator<Item = (usize, usize)> {
    let rows = cell_at(low.y)..=cell_at(high.y);
    let columns = cell_at(low.x)..=cell_at(high.x);
    rows.flat_map(move |row| columns.clone().map(move |column| (column, row)))
}

/// The column or row of a coordinate; the first one for what lies before it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative and huge coordinates saturate, which is what is wanted"
)]
fn cell_at(metres: f32) -> usize {
    (metres / CELL_M) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walls() -> Walls {
        vec![
            [8.0, 6.0, 12.0, 7.0],
            [28.0, 23.0, 32.0, 24.0],
            [8.5, 6.0, 9.0, 12.0],
        ]
        .into()
    }

    #[test]
    fn walls_near_a_place_come_in_the_order_of_the_map() {
        let walls = walls();
        let near: Vec<_> = walls.near(Vec2::new(9.5, 7.5)).copied().collect();
        assert_eq!(near, [walls.all[0], walls.all[2]]);
        assert_eq!(walls.near(Vec2::new(25.0, 5.0)).count(), 0);
        assert_eq!(walls.near(Vec2::new(500.0, 9.0)).count(), 0, "outside");
        let before = walls.near(Vec2::new(-3.0, -3.0)).count();
        assert_eq!(before, 2, "before the origin is its cell");
    }

    #[test]
    fn no_wall_on_the_way_is_left_out() {
        let walls = walls();
        let on_the_way = |from, to| {
            let second = walls.all.get(1);
            walls
                .along(from, to)
                .any(|wall| second.is_some_and(|second| std::ptr::eq(wall, second)))
        };
        assert!(on_the_way(Vec2::new(0.0, 23.5), Vec2::new(39.0, 23.5)));
        assert!(on_the_way(Vec2::new(30.0, 29.0), Vec2::new(30.0, 0.0)));
        assert!(!on_the_way(Vec2::new(0.0, 0.0), Vec2::new(9.0, 9.0)));
    }

    #[test]
    fn between_two_places_are_the_walls_that_their_rectangle_touches() {
        let walls = walls();
        let is_second = |wall: &Wall| wall.map(f32::to_bits) == walls.all[1].map(f32::to_bits);
        let between = |from, to| walls.any_between(from, to, is_second);
        assert!(between(Vec2::new(0.0, 23.5), Vec2::new(39.0, 23.5)));
        assert!(between(Vec2::new(30.0, 29.0), Vec2::new(30.0, 0.0)));
        assert!(
            !between(Vec2::new(0.0, 0.0), Vec2::new(27.0, 22.0)),
            "beside"
        );
        assert!(
            !between(Vec2::new(400.0, 0.0), Vec2::new(500.0, 0.0)),
            "outside"
        );
        assert!(
            !between(Vec2::new(0.0, 400.0), Vec2::new(0.0, 500.0)),
            "outside"
        );
    }
}
