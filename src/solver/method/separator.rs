//! A quick look at how wide a graph is, which bounds what a factorisation will cost before the ordering
//! is paid for: on a graph without small separators the ordering alone takes minutes.

use std::collections::BTreeSet;

use crate::solver::system::Rows;

/// Below this order the ordering is cheap enough to be asked.
pub(crate) const ORDER_MIN: usize = 50_000;

/// Unknowns with at most this many neighbours are eliminated before a front is estimated; what a tree,
/// a chain of small blocks or a series-parallel network is made of vanishes.
const DEGREE_MAX: usize = 8;

/// A dense block that every factorisation is likely to meet, as its order: the widest slice of what is
/// left once unknowns of few neighbours are eliminated and hubs are set aside. An estimate, no bound: on
/// grids it stays below the true front, on random graphs it is a fixed part of n.
///
/// O(nnz log nnz), and nothing but two searches where `enough` is not reached anyway.
pub(crate) fn front(rows: Rows, enough: usize) -> usize {
    let first_look = widest_slice_of_rows(rows, enough);
    if first_look < enough {
        return first_look;
    }
    let mut graph = Graph::of(rows);
    graph.eliminate_small();
    let hubs = graph.set_hubs_aside();
    (graph.widest_slice(enough) + hubs).min(first_look)
}

/// As [`front`], but eliminates and sets aside only where that promises something: where many rows are
/// short, or some are very long. A cube of a million unknowns is not worth the second it takes.
pub(crate) fn quick_front(rows: Rows, enough: usize) -> usize {
    let count = rows.count();
    let lengths = (0..count).map(|row| rows.cols(row).len());
    let short = lengths.clone().filter(|&length| length <= SHORT_ROW).count();
    if 10 * short >= count || lengths.max() > Some(hub_degree(count)) {
        front(rows, enough)
    } else {
        widest_slice_of_rows(rows, enough)
    }
}

/// Entries of a row, with its diagonal, of which many promise that elimination gets far.
const SHORT_ROW: usize = 4;

/// A hub sees more unknowns than this: a few dense rows cost a factorisation little.
fn hub_degree(count: usize) -> usize {
    10 * count.isqrt()
}

/// Follows the stored entries of the rows, so it may see less than the whole graph.
fn widest_slice_of_rows(rows: Rows, enough: usize) -> usize {
    widest_slice(rows.count(), enough, |row| rows.cols(row as usize).iter().copied())
}

/// Widest slice of the level structure of a breadth-first search from a remote unknown, over all
/// components: about √n for a square grid, n^⅔ for a cube, a good part of n for a random graph, and the
/// width of one branch where the graph branches. A slice is what one connected piece of all levels from
/// some level on has in that level; slices and their parents are the bags of a tree decomposition, so
/// an order exists whose fronts are at most two neighbouring slices wide.
///
/// Where no level is as wide as `enough`, the widest level is answered instead, which is an upper bound.
///
/// O(nnz). Source: George and Liu's pseudo-peripheral node; for the slices, any text on layered tree
/// decompositions.
fn widest_slice<I: Iterator<Item = u32>>(
    count: usize,
    enough: usize,
    neighbours: impl Fn(u32) -> I,
) -> usize {
    let (mut seen, mut seen_again) = (vec![UNSEEN; count], vec![UNSEEN; count]);
    let mut pieces = Pieces::new(count);
    let mut widest = 0;
    for start in 0..count as u32 {
        if seen[start as usize] != UNSEEN {
            continue;
        }
        let first = Levels::from(start, &mut seen, &neighbours);
        let remote = first.order[first.order.len() - 1];
        let second = match seen_again[remote as usize] {
            UNSEEN => Some(Levels::from(remote, &mut seen_again, &neighbours)),
            _ => None,
        };
        // Where entries lead one way only, a remote unknown may see nothing.
        let (levels, numbers) = match second {
            Some(second) if second.order.len() >= first.order.len() => (second, &seen_again),
            Some(_) | None => (first, &seen),
        };
        let widest_level = levels.widest_level();
        widest = widest.max(match widest_level < enough {
            true => widest_level,
            false => levels.widest_slice(numbers, &mut pieces, &neighbours),
        });
    }
    widest
}

const UNSEEN: u32 = u32::MAX;

/// What one search reaches.
struct Levels {
    /// Level by level.
    order: Vec<u32>,
    /// Where each level begins in `order`, and the end of the last.
    starts: Vec<usize>,
}

impl Levels {
    /// Notes the level of whatever it reaches in `seen`.
    fn from<I: Iterator<Item = u32>>(
        start: u32,
        seen: &mut [u32],
        neighbours: impl Fn(u32) -> I,
    ) -> Self {
        seen[start as usize] = 0;
        let (mut order, mut starts) = (vec![start], vec![0]);
        let mut level = 0;
        while starts[level] < order.len() {
            starts.push(order.len());
            for at in starts[level]..starts[level + 1] {
                for other in neighbours(order[at]) {
                    if seen[other as usize] == UNSEEN {
                        seen[other as usize] = level as u32 + 1;
                        order.push(other);
                    }
                }
            }
            level += 1;
        }
        Self { order, starts }
    }

    fn widest_level(&self) -> usize {
        self.starts.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0)
    }

    /// Joins the unknowns from the last level to the first, and counts what each piece has in each.
    fn widest_slice<I: Iterator<Item = u32>>(
        &self,
        levels: &[u32],
        pieces: &mut Pieces,
        neighbours: impl Fn(u32) -> I,
    ) -> usize {
        pieces.separate(&self.order);
        let mut widest = 0;
        for (level, ends) in self.starts.windows(2).enumerate().rev() {
            let members = &self.order[ends[0]..ends[1]];
            for &member in members {
                for other in neighbours(member) {
                    if levels[other as usize] != UNSEEN && levels[other as usize] >= level as u32 {
                        pieces.join(member, other);
                    }
                }
            }
            widest = widest.max(pieces.most_in_one(members));
        }
        widest
    }
}

/// Disjoint sets of unknowns.
struct Pieces {
    parents: Vec<u32>,
    counts: Vec<u32>,
}

impl Pieces {
    fn new(count: usize) -> Self {
        Self { parents: (0..count as u32).collect(), counts: vec![0; count] }
    }

    fn separate(&mut self, members: &[u32]) {
        for &member in members {
            self.parents[member as usize] = member;
        }
    }

    fn of(&mut self, mut member: u32) -> u32 {
        while self.parents[member as usize] != member {
            let grandparent = self.parents[self.parents[member as usize] as usize];
            self.parents[member as usize] = grandparent;
            member = grandparent;
        }
        member
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.of(one), self.of(other));
        self.parents[one.max(other) as usize] = one.min(other);
    }

    /// How many of the members the piece with most of them has.
    fn most_in_one(&mut self, members: &[u32]) -> usize {
        let mut most = 0;
        for &member in members {
            let piece = self.of(member) as usize;
            self.counts[piece] += 1;
            most = most.max(self.counts[piece]);
        }
        for &member in members {
            let piece = self.of(member) as usize;
            self.counts[piece] = 0;
        }
        most as usize
    }
}

/// The pattern of `A + Aᵀ` without its diagonal, while unknowns are eliminated from it.
struct Graph {
    neighbours: Vec<BTreeSet<u32>>,
}

impl Graph {
    fn of(rows: Rows) -> Self {
        let mut neighbours = vec![BTreeSet::new(); rows.count()];
        for row in 0..rows.count() {
            for &col in rows.cols(row).iter().filter(|&&col| col as usize != row) {
                neighbours[row].insert(col);
                neighbours[col as usize].insert(row as u32);
            }
        }
        Self { neighbours }
    }

    /// Eliminates as Gauss would: the neighbours of an eliminated unknown become neighbours.
    fn eliminate_small(&mut self) {
        let mut queue: Vec<u32> = (0..self.neighbours.len() as u32).collect();
        while let Some(unknown) = queue.pop() {
            if self.neighbours[unknown as usize].len() > DEGREE_MAX {
                continue;
            }
            let clique = std::mem::take(&mut self.neighbours[unknown as usize]);
            for &member in &clique {
                let of_member = &mut self.neighbours[member as usize];
                of_member.remove(&unknown);
                of_member.extend(clique.iter().filter(|&&other| other != member));
                if of_member.len() <= DEGREE_MAX {
                    queue.push(member);
                }
            }
        }
    }

    /// Takes out the hubs; returns how many.
    fn set_hubs_aside(&mut self) -> usize {
        let degree_max = hub_degree(self.neighbours.len());
        let hubs: Vec<usize> = (0..self.neighbours.len())
            .filter(|&unknown| self.neighbours[unknown].len() > degree_max)
            .collect();
        for &hub in &hubs {
            for other in std::mem::take(&mut self.neighbours[hub]) {
                self.neighbours[other as usize].remove(&(hub as u32));
            }
        }
        hubs.len()
    }

    fn widest_slice(&self, enough: usize) -> usize {
        let of = |unknown: u32| self.neighbours[unknown as usize].iter().copied();
        widest_slice(self.neighbours.len(), enough, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::gallery;
    use crate::solver::system::{LinearSystem, MatrixArrays};

    #[test]
    fn grids_are_narrow_and_random_graphs_are_wide() {
        let grid = gallery::poisson_2d(60, 1).unwrap();
        assert!((60..=120).contains(&widest_slice_of_rows(grid.rows(), 1)));
        let random = gallery::diagonally_dominant(3_600, 18_000, 1).unwrap();
        assert!(widest_slice_of_rows(random.rows(), 1) > 900);
    }

    /// A symmetric pattern with a full diagonal.
    fn of_pairs(n: usize, pairs: impl Iterator<Item = (usize, usize)>) -> LinearSystem {
        let entries = pairs.flat_map(|(i, j)| [(i, j), (j, i)]).chain((0..n).map(|i| (i, i)));
        let (row_indices, col_indices): (Vec<u32>, Vec<u32>) =
            entries.map(|(i, j)| (i as u32, j as u32)).unzip();
        let values = vec![1.0; row_indices.len()];
        let arrays = MatrixArrays::Coordinates { row_indices, col_indices, values };
        LinearSystem::assemble(n, n, arrays, vec![1.0; n]).unwrap()
    }

    /// Blocks of 20 unknowns that see each other and unknown 0.
    fn blocks_on_a_hub(blocks: usize) -> LinearSystem {
        let n = 20 * blocks + 1;
        let of_block = |i: usize| (i - 1) / 20 * 20 + 1..i;
        of_pairs(n, (1..n).flat_map(|i| of_block(i).chain([0]).map(move |j| (i, j))))
    }

    #[test]
    fn a_front_is_small_where_the_width_comes_from_a_hub_or_from_branches() {
        let blocks = blocks_on_a_hub(1_000);
        assert!(widest_slice_of_rows(blocks.rows(), 1) <= 20);
        assert!(front(blocks.rows(), 1) <= 20);
        let tree = of_pairs(4_000, (1..4_000_usize).map(|i| (i, 7_919 * i % i.isqrt())));
        assert!(widest_slice_of_rows(tree.rows(), 1) <= 1);
        assert!(front(tree.rows(), 1) <= 1);
    }

    /// `count` square grids whose first corners see unknown 0.
    fn star_of_grids(count: usize, side: usize) -> LinearSystem {
        let at = move |grid: usize, i: usize, j: usize| 1 + (grid * side + i) * side + j;
        let edges = (0..count * side * side).flat_map(move |cell| {
            let (grid, i, j) = (cell / (side * side), cell / side % side, cell % side);
            let down = (i + 1 < side).then(|| (at(grid, i, j), at(grid, i + 1, j)));
            let right = (j + 1 < side).then(|| (at(grid, i, j), at(grid, i, j + 1)));
            let centre = (i + j == 0).then(|| (at(grid, 0, 0), 0));
            down.into_iter().chain(right).chain(centre)
        });
        of_pairs(1 + count * side * side, edges)
    }

    /// `count` paths of `length` unknowns between unknowns 0 and 1.
    fn parallel_paths(count: usize, length: usize) -> LinearSystem {
        let of_path = move |path: usize| {
            let first = 2 + path * length;
            let steps = (first..first + length - 1).map(|at| (at, at + 1));
            steps.chain([(first, 0), (first + length - 1, 1)])
        };
        of_pairs(2 + count * length, (0..count).flat_map(of_path))
    }

    /// A band with one unknown that all see, in an order without any sense.
    fn shuffled_band_with_a_hub(n: usize, half_width: usize) -> LinearSystem {
        let shuffled = move |i: usize| i * 7_919 % n;
        let band =
            (1..n).flat_map(move |i| (i.saturating_sub(half_width).max(1)..i).map(move |j| (i, j)));
        let pairs = band.chain((1..n).map(|i| (i, 0)));
        of_pairs(n, pairs.map(move |(i, j)| (shuffled(i), shuffled(j))))
    }

    #[test]
    fn a_level_that_is_narrow_enough_is_not_cut_into_slices() {
        let star = star_of_grids(500, 12);
        let level = widest_slice_of_rows(star.rows(), usize::MAX);
        assert!(level > 5_000);
        assert_eq!(widest_slice_of_rows(star.rows(), level + 1), level);
        assert!(widest_slice_of_rows(star.rows(), level) <= 24);
    }

    #[test]
    fn a_wide_graph_that_is_narrow_everywhere_has_a_small_front() {
        assert!(widest_slice_of_rows(star_of_grids(500, 12).rows(), 1) <= 24);
        // Every path is as long as the others, so a search from one end sees them all side by side.
        let paths = parallel_paths(2_000, 20);
        assert!(front(paths.rows(), 1) <= 4);
        let band = shuffled_band_with_a_hub(50_000, 12);
        assert!(widest_slice_of_rows(band.rows(), 1) > 10_000);
        assert!(front(band.rows(), 1) <= 40, "{}", front(band.rows(), 1));
        assert_eq!(quick_front(band.rows(), 1), front(band.rows(), 1));
    }

    #[test]
    fn a_front_is_large_on_a_random_graph_and_stays_below_the_separator_of_a_grid() {
        let random = gallery::diagonally_dominant(3_600, 18_000, 1).unwrap();
        assert!(front(random.rows(), 1) > 300);
        let cube = gallery::poisson_3d(16, 1).unwrap();
        assert!(front(cube.rows(), 1) <= 256);
    }
}
