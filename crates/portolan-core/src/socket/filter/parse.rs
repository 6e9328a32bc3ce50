//! From tokens to a filter.

use std::ops::Range;
use std::slice;

use super::expression::{Expression, Host, Inner, Join, Side, Term, Test};
use super::host::{any_port, host};
use super::lex::{self, Comparison, Kind, Token};
use super::{Filter, FilterError, Names, Problem};
use crate::net::nearest;
use crate::socket::{Family, State, StateSet};

pub(super) fn filter(text: String, names: &Names<'_>) -> Result<Filter, FilterError> {
    let tokens = lex::tokens(&text);
    let parser = Parser { tokens: tokens.iter(), end: text.len(), families: Vec::new(), names };
    parser.filter().map_err(|At { span, problem }| FilterError { text, span, problem })
}

/// A problem and its place.
struct At {
    span: Range<usize>,
    problem: Problem,
}

struct Parser<'a> {
    tokens: slice::Iter<'a, Token>,
    end: usize,
    families: Vec<Family>,
    names: &'a Names<'a>,
}

impl<'a> Parser<'a> {
    fn filter(mut self) -> Result<Filter, At> {
        let states = self.states()?;
        let expression = self.peek().map(|_| self.expression(0)).transpose()?;
        match self.tokens.next() {
            Some(token) => Err(token.at(Problem::Unopened)),
            None => Ok(Filter { states, families: self.families, expression }),
        }
    }

    /// `state` adds to what was named before, `exclude` takes away; the first of them starts from
    /// nothing or from everything.
    fn states(&mut self) -> Result<Option<StateSet>, At> {
        let mut states = None;
        while let Some(word) = self.peek().filter(|token| token.is_word(&STATE_WORDS)) {
            self.tokens.next();
            let named = self.state()?;
            states = Some(if word.text == "state" {
                states.unwrap_or(StateSet::NONE) | named
            } else {
                states.unwrap_or(StateSet::ORDINARY).without(named)
            });
        }
        Ok(states)
    }

    fn state(&mut self) -> Result<StateSet, At> {
        let token = self.word("a state")?;
        let lower = token.text.to_lowercase();
        state_set(&lower).ok_or_else(|| {
            let nearest = nearest(&lower, STATE_NAMES.iter().map(|(name, _)| *name));
            token.at(Problem::UnknownState { found: token.text.clone(), nearest })
        })
    }

    /// Ends before a closing parenthesis or at the end.
    fn expression(&mut self, depth: usize) -> Result<Expression, At> {
        let first = self.term(depth)?;
        let mut rest = Vec::new();
        while let Some(token) = self.peek().filter(|token| token.kind != Kind::Close) {
            let join = if token.kind == Kind::Or { Join::Or } else { Join::And };
            if matches!(token.kind, Kind::And | Kind::Or) {
                self.tokens.next();
            }
            rest.push((join, self.term(depth)?));
        }
        Ok(Expression { first, rest })
    }

    fn term(&mut self, depth: usize) -> Result<Term, At> {
        let mut negated = false;
        while self.peek().is_some_and(|token| token.kind == Kind::Not) {
            self.tokens.next();
            negated = !negated;
        }
        let mut term = match self.tokens.next() {
            Some(open) if open.kind == Kind::Open => Term::group(self.group(open, depth + 1)?),
            Some(word) if word.kind == Kind::Word => self.test(word)?,
            other => return Err(self.expected("a test", other)),
        };
        term.negated ^= negated;
        Ok(term)
    }

    fn group(&mut self, open: &Token, depth: usize) -> Result<Expression, At> {
        if depth > MAX_DEPTH {
            return Err(open.at(Problem::TooDeep { limit: MAX_DEPTH }));
        }
        let expression = self.expression(depth)?;
        self.tokens.next().map(|_| expression).ok_or_else(|| open.at(Problem::Unclosed))
    }

    fn test(&mut self, word: &Token) -> Result<Term, At> {
        match word.text.as_str() {
            "src" => self.host(Side::Local),
            "dst" => self.host(Side::Peer),
            "sport" => self.port(Side::Local),
            "dport" => self.port(Side::Peer),
            "dev" => self.device(),
            "cgroup" => self.cgroup(),
            "autobound" => Ok(Term::test(Test::Autobound)),
            _ => Err(word.at(no_test(&word.text))),
        }
    }

    /// `src [=] HOST`
    fn host(&mut self, side: Side) -> Result<Term, At> {
        let negated = self.negated()?;
        let token = self.word("an address")?;
        let (host, family) = host(&token.text, self.names).map_err(|problem| token.at(problem))?;
        self.families.extend(family);
        Ok(Term { negated, inner: Inner::Test(Test::Host(side, host)) })
    }

    /// `sport [OP] PORT`
    fn port(&mut self, side: Side) -> Result<Term, At> {
        let comparison = self.comparison().map_or(Comparison::Equal, |(comparison, _)| comparison);
        let token = self.word("a port")?;
        let (port, family) =
            any_port(&token.text, self.names).map_err(|problem| token.at(problem))?;
        self.families.extend(family);
        let equal = Test::Host(side, Host::Inet { networks: None, port });
        match (comparison, port) {
            (Comparison::Equal, _) => Ok(Term::test(equal)),
            (Comparison::NotEqual, _) => Ok(Term { negated: true, inner: Inner::Test(equal) }),
            (_, Some(port)) => Ok(Term::test(Test::Port(side, comparison, port))),
            (_, None) => Err(token.at(Problem::AnyPortCompared)),
        }
    }

    /// `dev [=] NAME`
    fn device(&mut self) -> Result<Term, At> {
        let negated = self.negated()?;
        let token = self.word("a device")?;
        let unknown = || token.at(Problem::UnknownDevice { found: token.text.clone() });
        let name = (self.names.device)(&token.text).ok_or_else(unknown)?;
        Ok(Term { negated, inner: Inner::Test(Test::Device(name)) })
    }

    /// `cgroup [=] PATH`
    fn cgroup(&mut self) -> Result<Term, At> {
        let negated = self.negated()?;
        let token = self.word("the path of a cgroup")?;
        let unknown = || token.at(Problem::UnknownCgroup { found: token.text.clone() });
        let id = (self.names.cgroup)(&token.text).ok_or_else(unknown)?;
        Ok(Term { negated, inner: Inner::Test(Test::Cgroup(id)) })
    }

    /// An optional `=` or `!=`.
    fn negated(&mut self) -> Result<bool, At> {
        match self.comparison() {
            None | Some((Comparison::Equal, _)) => Ok(false),
            Some((Comparison::NotEqual, _)) => Ok(true),
            Some((_, token)) => Err(self.expected("`=` or `!=`", Some(token))),
        }
    }

    fn comparison(&mut self) -> Option<(Comparison, &'a Token)> {
        let token = self.peek()?;
        let Kind::Comparison(comparison) = token.kind else { return None };
        self.tokens.next();
        Some((comparison, token))
    }

    fn word(&mut self, wanted: &'static str) -> Result<&'a Token, At> {
        match self.tokens.next() {
            Some(token) if token.kind == Kind::Word => Ok(token),
            other => Err(self.expected(wanted, other)),
        }
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.as_slice().first()
    }

    fn expected(&self, wanted: &'static str, found: Option<&Token>) -> At {
        let span = found.map_or(self.end..self.end, |token| token.span.clone());
        At { span, problem: Problem::Expected { wanted, found: found.map(|t| t.text.clone()) } }
    }
}

impl Token {
    fn at(&self, problem: Problem) -> At {
        At { span: self.span.clone(), problem }
    }

    fn is_word(&self, words: &[&str]) -> bool {
        self.kind == Kind::Word && words.contains(&self.text.as_str())
    }
}

impl Term {
    const fn test(test: Test) -> Self {
        Self { negated: false, inner: Inner::Test(test) }
    }

    fn group(expression: Expression) -> Self {
        Self { negated: false, inner: Inner::Group(Box::new(expression)) }
    }
}

fn no_test(word: &str) -> Problem {
    let found = word.to_owned();
    match word {
        "fwmark" => Problem::Unsupported {
            word: found,
            why: "the kernel tells marks to administrators only, so they are not kept",
        },
        _ if STATE_WORDS.contains(&word) => Problem::StateInside { word: found },
        _ => Problem::UnknownTest { found, nearest: nearest(word, TESTS) },
    }
}

fn state_set(name: &str) -> Option<StateSet> {
    STATE_NAMES.iter().find(|(known, _)| *known == name).map(|(_, states)| *states)
}

const MAX_DEPTH: usize = 64;

const STATE_WORDS: [&str; 3] = ["state", "exclude", "excl"];

const TESTS: [&str; 7] = ["src", "dst", "sport", "dport", "dev", "cgroup", "autobound"];

/// The words of ss, then those of our own output where they differ.
const STATE_NAMES: [(&str, StateSet); 23] = [
    ("all", StateSet::ORDINARY),
    ("connected", CONNECTED),
    ("synchronized", without(CONNECTED, State::SynSent)),
    ("bucket", BUCKET),
    ("big", without(without(StateSet::ORDINARY, State::SynRecv), State::TimeWait)),
    ("established", StateSet::of(State::Established)),
    ("syn-sent", StateSet::of(State::SynSent)),
    ("syn-recv", StateSet::of(State::SynRecv)),
    ("syn-rcv", StateSet::of(State::SynRecv)),
    ("fin-wait-1", StateSet::of(State::FinWait1)),
    ("fin-wait-2", StateSet::of(State::FinWait2)),
    ("time-wait", StateSet::of(State::TimeWait)),
    ("closed", StateSet::of(State::Close)),
    ("close", StateSet::of(State::Close)),
    ("unconnected", StateSet::of(State::Unconn)),
    ("close-wait", StateSet::of(State::CloseWait)),
    ("last-ack", StateSet::of(State::LastAck)),
    ("listening", StateSet::of(State::Listen)),
    ("closing", StateSet::of(State::Closing)),
    ("bound-inactive", StateSet::of(State::Bound)),
    ("unconn", StateSet::of(State::Unconn)),
    ("listen", StateSet::of(State::Listen)),
    ("bound", StateSet::of(State::Bound)),
];

const CONNECTED: StateSet = without(without(StateSet::ORDINARY, State::Listen), State::Close);
const BUCKET: StateSet = StateSet::of(State::SynRecv).or(StateSet::of(State::TimeWait));

const fn without(states: StateSet, state: State) -> StateSet {
    states.without(StateSet::of(state))
}
