//! Accord: a support desk in one program.

pub mod cards;
pub mod clock;
pub mod html;
pub mod secret;

pub mod i18n;

pub mod error;

pub mod config;

pub mod db;
pub mod mail;

pub mod audit;
pub mod keys;
pub mod queue;
pub mod schedule;
pub mod settings;
pub mod storage;
pub mod throttle;

pub mod journal;
pub mod outbox;
pub mod people;

pub mod access;
pub mod teams;

pub mod app;

pub mod web;
pub mod worker;

pub mod cli;

pub mod tickets;
