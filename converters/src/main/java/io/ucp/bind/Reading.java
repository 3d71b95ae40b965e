package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.NamePattern;
import io.ucp.layout.Chain;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What a rule says of one parameter, evaluated for one mesh.
///
/// @param chain without the axes that the rule does not speak of
/// @param takeFirst axes whose ranks may hold other values than the first
/// @param declared the real extents, where the rule gives them
/// @param isEverywhere the rule has no clauses that place or cut: every rank holds the whole
/// @param unique exactly one rank holds it
/// @param stagedWith the parameter on whose stage it is
/// @param tiedTo global name of the parameter that it is another name of
record Reading(
        Chain chain,
        Set<String> takeFirst,
        Optional<List<Long>> declared,
        List<Padding> padding,
        boolean isEverywhere,
        boolean unique,
        boolean frozen,
        Map<String, DType> casts,
        Optional<Clause.Flatten> flatten,
        Optional<Clause.WithStates> states,
        Optional<NamePattern.Glob> stagedWith,
        Optional<NamePattern.Glob> tiedTo) {
    Reading {
        takeFirst = Set.copyOf(takeFirst);
        padding = List.copyOf(padding);
        casts = Map.copyOf(casts);
    }

    /// The same with one more step.
    Reading with(Chain.Step step) {
        List<Chain.Step> steps = new ArrayList<>(chain.steps());
        steps.add(step);
        return new Reading(
                new Chain(steps),
                takeFirst,
                declared,
                padding,
                isEverywhere,
                unique,
                frozen,
                casts,
                flatten,
                states,
                stagedWith,
                tiedTo);
    }

    /// Of a state that is laid out by a chain of its own; its extents are the parameter's.
    Reading ofState(List<Chain.Step> steps, Set<String> first, boolean once) {
        return new Reading(
                new Chain(steps),
                first,
                Optional.empty(),
                List.of(),
                isEverywhere && !once,
                unique || once,
                frozen,
                casts,
                flatten,
                states,
                stagedWith,
                tiedTo);
    }

    /// Rows past the real extent of a dimension, up to a multiple.
    ///
    /// @param real the real extent, where the clause gives it
    record Padding(int dim, OptionalLong real, long multiple) {
        long padded(long real) {
            return Extents.padded(real, multiple);
        }
    }
}
