//! What a client, a peer or a mathematician sees. One binary, one module per theme.
mod analysis;
mod cli_analyze;
mod cli_demo;
mod cli_solve;
mod fuzz;
mod http;
mod layers;
mod matrix_market;
mod methods;
mod node;
mod path;
mod proof;
mod simulation;
mod support;
mod systems;
mod terminal;
mod wire;
