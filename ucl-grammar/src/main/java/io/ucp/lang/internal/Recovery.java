package io.ucp.lang.internal;

import io.ucp.lang.diagnostic.Diagnostic;

import org.antlr.v4.runtime.DefaultErrorStrategy;
import org.antlr.v4.runtime.InputMismatchException;
import org.antlr.v4.runtime.Parser;
import org.antlr.v4.runtime.RecognitionException;
import org.antlr.v4.runtime.Token;
import org.antlr.v4.runtime.TokenStream;
import org.antlr.v4.runtime.atn.ATNState;
import org.antlr.v4.runtime.misc.IntervalSet;

import java.util.List;
import java.util.Set;

/// How the parser goes on after a syntax error, so that one run finds them all: nothing is guessed
/// (no token is inserted or removed); the whole clause, or else the whole statement, is given up
/// and the next one starts afresh.
final class Recovery extends DefaultErrorStrategy {
    /// Words that only a statement starts with: one of them ends whatever is broken before it.
    private static final Set<Integer> STATEMENT_STARTS =
            Set.of(
                    UclLexer.IMPORT,
                    UclLexer.SPEC,
                    UclLexer.MESH,
                    UclLexer.AXIS,
                    UclLexer.LET,
                    UclLexer.PARAM,
                    UclLexer.GROUP,
                    UclLexer.RENAME,
                    UclLexer.DROP,
                    UclLexer.DEFAULT,
                    UclLexer.EVERY);

    /// Words that start a statement, and mean something else inside braces.
    private static final Set<Integer> OUTER_STATEMENT_STARTS =
            Set.of(UclLexer.STATES, UclLexer.CAST, UclLexer.FROZEN, UclLexer.OPTIONAL);

    private static final Set<Integer> CLAUSE_STARTS =
            Set.of(
                    UclLexer.UNIQUE,
                    UclLexer.REPLICATE,
                    UclLexer.AVERAGE,
                    UclLexer.SHARD,
                    UclLexer.SHARD_NC,
                    UclLexer.FUSE,
                    UclLexer.VIEW,
                    UclLexer.EXPERT,
                    UclLexer.STAGE,
                    UclLexer.TIED,
                    UclLexer.FLATTEN,
                    UclLexer.PAD,
                    UclLexer.FROZEN,
                    UclLexer.WITH,
                    UclLexer.CAST);

    private static final Set<Integer> STEP_STARTS =
            Set.of(
                    UclLexer.VIEW,
                    UclLexer.SPLIT,
                    UclLexer.JOIN,
                    UclLexer.STACK,
                    UclLexer.UNSTACK,
                    UclLexer.TRANSPOSE,
                    UclLexer.PERMUTE,
                    UclLexer.FOR);

    private final Tokens tokens;
    private final Problems problems;
    private int reported = -1;
    private int wordAsName = -1;

    Recovery(Tokens tokens, Problems problems) {
        this.tokens = tokens;
        this.problems = problems;
    }

    private static final Set<Integer> MEMBER_STARTS =
            Set.of(UclLexer.STRING, UclLexer.REGEX, UclLexer.COMMA);

    @Override
    public void reportError(Parser parser, RecognitionException e) {
        int place = e.getOffendingToken().getTokenIndex();
        if (place == reported) {
            return;
        }
        reported = place;
        Token found = e.getOffendingToken();
        if (!Tokens.isBroken(found)) {
            problems.add(diagnostic(Expected.at(parser), found));
        }
    }

    private Diagnostic diagnostic(List<String> expected, Token found) {
        Diagnostic error =
                Diagnostic.error(
                        tokens.span(found),
                        "expected " + Words.oneOf(expected) + ", found " + Words.found(found));
        boolean nameExpected = expected.size() == 1 && expected.getFirst().endsWith("name");
        if (!nameExpected || !Words.isWord(found)) {
            return error;
        }
        wordAsName = found.getTokenIndex();
        return error.withHint(
                "'%1$s' is a word of the language; as a name it is written `%1$s`"
                        .formatted(found.getText()));
    }

    @Override
    public void recover(Parser parser, RecognitionException e) {
        switch (parser.getContext().getRuleIndex()) {
            case UclParser.RULE_file, UclParser.RULE_version, UclParser.RULE_statement ->
                    skipToStatement(parser);
            case UclParser.RULE_declaredShape -> skipTo(parser, Set.of(UclLexer.LBRACE));
            case UclParser.RULE_clause -> skipTo(parser, CLAUSE_STARTS);
            case UclParser.RULE_renameStep -> skipTo(parser, STEP_STARTS);
            case UclParser.RULE_stateEntry -> skipTo(parser, Set.of());
            default -> throw e;
        }
    }

    @Override
    public Token recoverInline(Parser parser) {
        throw new InputMismatchException(parser);
    }

    /// Finds an error where a choice is made, when more is still possible than once the choice is
    /// taken. In the loops over statements, clauses and the like it goes on with the next one.
    @Override
    public void sync(Parser parser) {
        ATNState state = parser.getATN().states.get(parser.getState());
        int next = parser.getInputStream().LA(1);
        IntervalSet allowed = parser.getATN().nextTokens(state);
        if (allowed.contains(next)) {
            return;
        }
        if (allowed.contains(Token.EPSILON) && parser.getExpectedTokens().contains(next)) {
            return;
        }
        InputMismatchException error = new InputMismatchException(parser);
        if (!isLoop(state)) {
            throw error;
        }
        switch (parser.getContext().getRuleIndex()) {
            case UclParser.RULE_file -> {
                reportError(parser, error);
                skipToStatement(parser);
            }
            case UclParser.RULE_param -> {
                reportError(parser, error);
                skipTo(parser, CLAUSE_STARTS);
            }
            case UclParser.RULE_rename, UclParser.RULE_renameStep -> {
                reportError(parser, error);
                skipTo(parser, STEP_STARTS);
            }
            case UclParser.RULE_states -> {
                reportError(parser, error);
                skipTo(parser, Set.of());
            }
            case UclParser.RULE_group -> {
                reportError(parser, error);
                skipTo(parser, MEMBER_STARTS);
            }
            default -> throw error;
        }
    }

    private static boolean isLoop(ATNState state) {
        return state.getStateType() == ATNState.STAR_LOOP_ENTRY
                || state.getStateType() == ATNState.STAR_LOOP_BACK;
    }

    private void skipTo(Parser parser, Set<Integer> starts) {
        TokenStream tokens = parser.getInputStream();
        skipWordAsName(tokens);
        int depth = 0;
        while (true) {
            int type = tokens.LA(1);
            boolean here =
                    depth == 0
                            && (starts.contains(type)
                                    || type == UclLexer.SEMICOLON
                                    || type == UclLexer.RBRACE);
            boolean outside = STATEMENT_STARTS.contains(type) && isFirst(tokens);
            if (here || outside || type == Token.EOF) {
                return;
            }
            depth = Math.max(0, depth + nesting(type));
            tokens.consume();
        }
    }

    private void skipToStatement(Parser parser) {
        TokenStream tokens = parser.getInputStream();
        skipWordAsName(tokens);
        int depth = 0;
        while (true) {
            int type = tokens.LA(1);
            boolean starts =
                    STATEMENT_STARTS.contains(type)
                            || (depth == 0 && OUTER_STATEMENT_STARTS.contains(type));
            if ((starts && isFirst(tokens)) || type == Token.EOF) {
                return;
            }
            depth = Math.max(0, depth + nesting(type));
            tokens.consume();
        }
    }

    /// A word of the language where a name should be is not the start of something new.
    private void skipWordAsName(TokenStream tokens) {
        if (tokens.index() == wordAsName && !isFirst(tokens)) {
            tokens.consume();
        }
    }

    /// Whether the next token is the first of its line, or follows a closed block.
    private static boolean isFirst(TokenStream tokens) {
        Token before = tokens.LT(-1);
        return before == null
                || before.getType() == UclLexer.RBRACE
                || before.getLine() < tokens.LT(1).getLine();
    }

    private static int nesting(int type) {
        return switch (type) {
            case UclLexer.LBRACE, UclLexer.LPAREN, UclLexer.LBRACKET -> 1;
            case UclLexer.RBRACE, UclLexer.RPAREN, UclLexer.RBRACKET -> -1;
            default -> 0;
        };
    }
}
