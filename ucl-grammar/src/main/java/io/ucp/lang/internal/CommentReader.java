package io.ucp.lang.internal;

import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Comments;
import io.ucp.lang.diagnostic.SourceText;

import org.antlr.v4.runtime.ParserRuleContext;
import org.antlr.v4.runtime.Token;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;

/// Gives every comment of a text to exactly one part of the tree. A part takes the comments on the
/// lines before it, the one behind it on its last line, and, once its own parts have taken theirs,
/// what is left inside it.
final class CommentReader {
    private final Tokens tokens;
    private final SourceText source;
    private final BitSet taken = new BitSet();

    CommentReader(Tokens tokens) {
        this.tokens = tokens;
        this.source = tokens.source();
    }

    /// A part with its comments. To be called for the inner parts first.
    <T> Commented<T> with(T node, ParserRuleContext context) {
        return new Commented<>(node, of(context));
    }

    /// The comments of a part without a block, or of one whose inner parts have theirs.
    Comments of(ParserRuleContext context) {
        int first = context.start.getTokenIndex();
        int last = context.stop.getTokenIndex();
        List<String> leading = before(first);
        int brace = last;
        while (brace > first && tokens.all().get(brace).getType() != UclLexer.RBRACE) {
            brace--;
        }
        List<String> closing = brace > first ? before(brace) : List.of();
        Optional<String> trailing = behind(last);
        for (int i = first; i < last; i++) {
            if (isFree(i)) {
                leading.add(take(i));
            }
        }
        return new Comments(leading, trailing, closing);
    }

    /// The comments before the end of the text that nothing else took.
    List<String> atEnd(Token end) {
        return before(end.getTokenIndex());
    }

    /// Free comments straight before a token, with the empty lines between and before them.
    private List<String> before(int token) {
        int from = token;
        while (from > 0 && isComment(from - 1) && !taken.get(from - 1)) {
            from--;
        }
        List<String> lines = new ArrayList<>();
        int line = from == 0 ? 1 : lastLine(from - 1);
        for (int i = from; i < token; i++) {
            addGap(lines, line, firstLine(i));
            line = lastLine(i);
            lines.add(take(i));
        }
        addGap(lines, line, firstLine(token));
        return lines;
    }

    private static void addGap(List<String> lines, int from, int to) {
        if (to > from + 1) {
            lines.add("");
        }
    }

    private Optional<String> behind(int last) {
        int next = last + 1;
        while (isSeparator(next) && firstLine(next) == lastLine(last)) {
            next++;
        }
        boolean here = isFree(next) && firstLine(next) == lastLine(last);
        return here ? Optional.of(take(next)) : Optional.empty();
    }

    private boolean isSeparator(int index) {
        int type = tokens.all().get(index).getType();
        return type == UclLexer.SEMICOLON || type == UclLexer.COMMA;
    }

    private boolean isComment(int index) {
        return index < tokens.all().size() && tokens.all().get(index).getType() == UclLexer.COMMENT;
    }

    private boolean isFree(int index) {
        return isComment(index) && !taken.get(index);
    }

    private String take(int index) {
        taken.set(index);
        return written(tokens.all().get(index).getText());
    }

    /// One blank after the slashes, none at the end; a longer run of slashes stays.
    private static String written(String comment) {
        String text = comment.substring(2).stripTrailing();
        boolean plain = text.isEmpty() || text.startsWith(" ") || text.startsWith("/");
        return plain ? "//" + text : "// " + text.stripLeading();
    }

    private int firstLine(int index) {
        return source.lineOf(tokens.span(tokens.all().get(index)).start());
    }

    private int lastLine(int index) {
        return source.lineOf(tokens.span(tokens.all().get(index)).end());
    }
}
