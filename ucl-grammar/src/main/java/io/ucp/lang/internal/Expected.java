package io.ucp.lang.internal;

import org.antlr.v4.runtime.Parser;
import org.antlr.v4.runtime.ParserRuleContext;
import org.antlr.v4.runtime.RuleContext;
import org.antlr.v4.runtime.Token;
import org.antlr.v4.runtime.atn.ATN;
import org.antlr.v4.runtime.atn.ATNState;
import org.antlr.v4.runtime.atn.RuleStopState;
import org.antlr.v4.runtime.atn.RuleTransition;
import org.antlr.v4.runtime.atn.Transition;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/// What the grammar allows at a place, in a person's words: a walk through the grammar's automaton
/// that stops at each token and at each rule that has a name in [Words].
final class Expected {
    private final ATN atn;
    private final Set<String> words = new LinkedHashSet<>();
    private final Set<Place> seen = new HashSet<>();

    /// A state and the states to go on from at the end of each rule, the innermost first.
    private record Place(int state, @Nullable Returns returns) {}

    private record Returns(int state, @Nullable Returns outer) {}

    private Expected(ATN atn) {
        this.atn = atn;
    }

    /// The names of all that may come next, in the order of the grammar.
    static List<String> at(Parser parser) {
        String begun = begun(parser.getContext(), parser.getCurrentToken());
        if (!begun.isEmpty()) {
            return List.of(begun);
        }
        Expected expected = new Expected(parser.getATN());
        Returns returns = expected.returns(parser.getContext());
        expected.walk(parser.getATN().states.get(parser.getState()), returns);
        return new ArrayList<>(expected.words);
    }

    /// The name of the outermost rule that would start at the token; empty for none.
    private static String begun(RuleContext innermost, Token token) {
        String name = "";
        RuleContext context = innermost;
        while (context instanceof ParserRuleContext rule
                && rule.start.getTokenIndex() == token.getTokenIndex()) {
            String word = Words.rule(rule.getRuleIndex());
            name = word.isEmpty() ? name : word;
            context = rule.parent;
        }
        return name;
    }

    private @Nullable Returns returns(@Nullable RuleContext context) {
        if (context == null || context.invokingState < 0) {
            return null;
        }
        RuleTransition call = (RuleTransition) atn.states.get(context.invokingState).transition(0);
        return new Returns(call.followState.stateNumber, returns(context.parent));
    }

    private void walk(ATNState state, @Nullable Returns returns) {
        if (!seen.add(new Place(state.stateNumber, returns))) {
            return;
        }
        if (state instanceof RuleStopState) {
            if (returns != null) {
                walk(atn.states.get(returns.state), returns.outer);
            }
            return;
        }
        for (Transition transition : state.getTransitions()) {
            follow(transition, returns);
        }
    }

    private void follow(Transition transition, @Nullable Returns returns) {
        if (transition instanceof RuleTransition call) {
            String name = Words.rule(call.ruleIndex);
            if (name.isEmpty()) {
                walk(call.target, new Returns(call.followState.stateNumber, returns));
            } else {
                words.add(name);
            }
        } else if (transition.isEpsilon()) {
            walk(transition.target, returns);
        } else {
            transition.label().toList().stream()
                    .filter(type -> type != UclLexer.SEMICOLON && type != Token.EPSILON)
                    .map(Words::token)
                    .forEach(words::add);
        }
    }
}
