//! Empty on purpose: the tests of the binary are in `tests/it/`, vectors and data that several crates read lie beside them.
