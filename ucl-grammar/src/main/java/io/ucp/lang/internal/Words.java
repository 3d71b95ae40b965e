package io.ucp.lang.internal;

import org.antlr.v4.runtime.Token;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/// What a person calls the tokens and rules of the grammar.
final class Words {
    /// Rules that a message names instead of listing what they may start with.
    private static final Map<String, String> RULES =
            Map.ofEntries(
                    Map.entry("versionNumber", "a version number"),
                    Map.entry("degree", "a degree"),
                    Map.entry("statement", "a statement"),
                    Map.entry("clause", "a layout clause"),
                    Map.entry("stateClause", "a layout of the states"),
                    Map.entry("renameStep", "a step of the rename"),
                    Map.entry("stateEntry", "a state name"),
                    Map.entry("pattern", "a name pattern in quotes"),
                    Map.entry("target", "a name in quotes"),
                    Map.entry("expression", "an expression"),
                    Map.entry("operand", "a number, a name or '('"),
                    Map.entry("sumOperator", "an operator"),
                    Map.entry("productOperator", "an operator"),
                    Map.entry("dimension", "a dimension number"),
                    Map.entry("axisName", "an axis name"),
                    Map.entry("stateName", "a state name"),
                    Map.entry("captureName", "a capture name"),
                    Map.entry("partName", "a part name"),
                    Map.entry("dtype", "a dtype"),
                    Map.entry("name", "a name"));

    private static final Map<Integer, String> TOKENS =
            Map.of(
                    Token.EOF, "the end of the spec",
                    UclLexer.UCL, "'ucl 1'",
                    UclLexer.INT, "a number",
                    UclLexer.NAME, "a name",
                    UclLexer.STRING, "a name in quotes",
                    UclLexer.REGEX, "a regular expression");

    private static final Set<String> CANONICAL = canonical();

    /// The paper's words that could be names.
    private static final Set<String> ALIASES =
            Set.of(
                    "Unique",
                    "unique_params",
                    "Replicate",
                    "replicated_params",
                    "Partial",
                    "params_to_average",
                    "fragment_params",
                    "StripPad",
                    "hasPadding");

    private Words() {}

    static String rule(int index) {
        return RULES.getOrDefault(UclParser.ruleNames[index], "");
    }

    static String token(int type) {
        String named = TOKENS.get(type);
        if (named != null) {
            return named;
        }
        String literal = UclLexer.VOCABULARY.getLiteralName(type);
        return literal != null ? literal : "'" + word(type) + "'";
    }

    /// What was found, as a message quotes it.
    static String found(Token token) {
        String text = token.getText();
        return switch (token.getType()) {
            case Token.EOF -> "the end of the spec";
            case UclLexer.STRING, UclLexer.REGEX -> shortened(text);
            default -> "'" + shortened(text) + "'";
        };
    }

    /// Whether a text is a word of the language, so that as a name it needs backquotes.
    static boolean isWord(String text) {
        return CANONICAL.contains(text) || ALIASES.contains(text);
    }

    static boolean isWord(Token token) {
        return isWord(token.getText());
    }

    static String shortened(String text) {
        return text.codePointCount(0, text.length()) <= 40
                ? text
                : text.substring(0, text.offsetByCodePoints(0, 39)) + "…";
    }

    /// `'a'`, `'a' or 'b'`, `a, b or c`.
    static String oneOf(List<String> words) {
        int last = words.size() - 1;
        return last < 1
                ? String.join("", words)
                : String.join(", ", words.subList(0, last)) + " or " + words.get(last);
    }

    private static String word(int type) {
        String symbol = UclLexer.VOCABULARY.getSymbolicName(type);
        return symbol.toLowerCase(Locale.ROOT);
    }

    private static Set<String> canonical() {
        Set<String> words = new TreeSet<>();
        for (int type = UclLexer.UNIQUE; type <= UclLexer.WITH; type++) {
            String literal = UclLexer.VOCABULARY.getLiteralName(type);
            words.add(literal == null ? word(type) : literal.replace("'", ""));
        }
        return words;
    }
}
