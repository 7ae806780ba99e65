//! Privacy law as functions: which kind of data each table holds, and what follows from it.

pub mod data_kinds;
