package io.ucp.lang.ast;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.ucp.lang.diagnostic.Span;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Optional;

class AstTest {
    private static final Name AXIS = Name.of("tp");

    @Test
    void whatNoTextCouldSayCannotBeMade() {
        refused(() -> Name.of("2x"));
        refused(() -> Name.of("a b"));
        refused(() -> Dimension.of(-1));
        refused(() -> Expr.of(-1));
        refused(() -> new Position.Nth(-1));
        refused(() -> new NamePattern.Piece.Capture("a-b", false));
        Widths listed = new Widths.Listed(List.of(Expr.of(1)));
        refused(() -> new Clause.ShardEach(AXIS, listed, Span.NONE));
        Widths byPart = new Widths.ByPart(List.of());
        refused(() -> new Clause.Shard(Dimension.of(0), AXIS, byPart, Span.NONE));
    }

    @Test
    void aCommentIsOneLine() {
        refused(() -> new Comments(List.of("no slashes"), Optional.empty(), List.of()));
        refused(() -> new Comments(List.of("// a\n// b"), Optional.empty(), List.of()));
        assertThat(Comments.before("two\nlines").leading()).containsExactly("// two", "// lines");
        assertThat(Comments.before("").leading()).containsExactly("//");
    }

    @Test
    void anEmptyLineSetsAPartApart() {
        Comments apart = Comments.before("why").apart();
        assertThat(apart.leading()).containsExactly("", "// why");
        assertThat(apart.apart()).isEqualTo(apart);
        assertThat(Comments.NONE.apart().isEmpty()).isTrue();
        assertThat(apart.isEmpty()).isFalse();
    }

    @Test
    void aSpecListsItsStatementsByKind() {
        Let let = new Let(Name.of("n"), Expr.of(1), Span.NONE);
        DropRule drop = new DropRule(false, List.of(NamePattern.Glob.exact("a")), Span.NONE);
        Spec spec = Spec.of(List.of(Commented.of(let), Commented.of(drop)));
        assertThat(spec.lets()).containsExactly(let);
        assertThat(spec.drops()).containsExactly(drop);
        assertThat(spec.name()).isEmpty();
        assertThat(spec.firstMatchWins()).isFalse();
        assertThat(spec.everyRuleOptional()).isFalse();
    }

    @Test
    void shapesAreMadeOfNumbersToo() {
        assertThat(Shape.of(2, 3)).isEqualTo(Shape.of(Expr.of(2), Expr.of(3)));
    }

    private static void refused(Runnable making) {
        assertThatIllegalArgumentException().isThrownBy(making::run);
    }
}
