package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Comments;
import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Matching;
import io.ucp.lang.ast.Mesh;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern.Glob;
import io.ucp.lang.ast.NamePattern.Regex;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.Shape;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

class PrinterTest {
    @Test
    void aSpecThatAProgramMadePrintsWithItsReasons() {
        Clause fuse =
                new Clause.Fuse(
                        Dimension.of(0), List.of(Part.of("gate"), Part.of("up")), Span.NONE);
        ParamRule rule =
                ParamRule.of(
                        Glob.exact("7.mlp.{odd}"),
                        Optional.of(Shape.of(Expr.of(2).times(Expr.of("ffn")), Expr.of(64))),
                        List.of(fuse, Clause.ShardEach.over("tp")));
        States.Entry entry =
                new States.Entry(
                        List.of(Name.of("fp32"), Name.of("group")),
                        List.of(Clause.Flatten.over("dp")),
                        Span.NONE);
        Spec spec =
                Spec.of(
                        List.of(
                                Commented.of(new SpecName(Name.of("inferred"), Span.NONE)),
                                Commented.of(Matching.of(Matching.Mode.FIRST_MATCH_WINS)),
                                Commented.of(
                                        new Mesh(
                                                List.of(Mesh.Axis.of("dp", 2), Mesh.Axis.of("tp")),
                                                Span.NONE),
                                        "The degrees are in the file names."),
                                Commented.of(
                                        new States(
                                                Name.of("adam"),
                                                List.of(
                                                        new Commented<>(
                                                                entry,
                                                                Comments.behind("flat on disk"))),
                                                Span.NONE)),
                                new Commented<>(
                                        rule,
                                        Comments.before("Two halves.", "Seen on both ranks.")
                                                .withTrailing("sure"))));
        String expected =
                """
                ucl 1

                spec inferred
                first match wins

                // The degrees are in the file names.
                mesh (dp 2, tp)

                states adam {
                    fp32, `group`: flatten over dp  // flat on disk
                }

                // Two halves.
                // Seen on both ranks.
                param "7.mlp.\\{odd\\}" : [2 * ffn, 64] { fuse dim 0 (gate, up); shard each over tp }  // sure
                """;
        assertThat(Ucl.format(spec)).isEqualTo(expected);
        assertThat(TreeText.withoutPlaces(Ucl.parse(SourceText.of("x.ucl", expected)).params()))
                .isEqualTo(TreeText.withoutPlaces(List.of(rule)));
    }

    @Test
    void everyCommentIsKept() throws Exception {
        String text = Files.readString(Path.of("src/test/resources/golden/comments.ucl"));
        String formatted = Ucl.format(SourceText.of("comments.ucl", text));
        assertThat(comments(formatted)).containsExactlyInAnyOrderElementsOf(comments(text));
    }

    private static List<String> comments(String text) {
        List<String> comments = new ArrayList<>();
        Matcher matcher = Pattern.compile("//+ *(.*)").matcher(text);
        while (matcher.find()) {
            comments.add(matcher.group(1).strip());
        }
        return comments;
    }

    @Test
    void aRuleOfManyPatternsHasOneOnEachLine() {
        ParamRule rule =
                new ParamRule(
                        true,
                        true,
                        List.of(Glob.exact("a".repeat(50)), Regex.of("b".repeat(50) + "\"\n")),
                        Optional.empty(),
                        List.of(Commented.of(new Clause.Unique(Span.NONE))),
                        Span.NONE);
        assertThat(Ucl.format(Spec.of(List.of(Commented.of(rule)))))
                .isEqualTo(
                        "ucl 1\n\ndefault optional param \""
                                + "a".repeat(50)
                                + "\",\n                       re\""
                                + "b".repeat(50)
                                + "\\\"\\n\" { unique }\n");
    }

    static IntStream seeds() {
        return IntStream.range(0, 200);
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void anyExpressionIsReadBackAsItWas(int seed) {
        Expr expression = expression(new SplittableRandom(seed), 5);
        Statement let = new Let(Name.of("x"), expression, Span.NONE);
        String text = Ucl.format(Spec.of(List.of(Commented.of(let))));
        Expr read = Ucl.parse(SourceText.of("x.ucl", text)).lets().getFirst().value();
        assertThat(TreeText.withoutPlaces(read)).isEqualTo(TreeText.withoutPlaces(expression));
    }

    private static Expr expression(SplittableRandom random, int depth) {
        return switch (random.nextInt(depth == 0 ? 2 : 6)) {
            case 0 -> Expr.of(random.nextLong(1, Long.MAX_VALUE));
            case 1 -> Expr.of(random.nextBoolean() ? "hidden" : "stage");
            case 2 -> expression(random, depth - 1).plus(expression(random, depth - 1));
            case 3 -> expression(random, depth - 1).minus(expression(random, depth - 1));
            case 4 -> expression(random, depth - 1).times(expression(random, depth - 1));
            default -> expression(random, depth - 1).dividedBy(expression(random, depth - 1));
        };
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void anyNameIsReadBackAsItWas(int seed) {
        SplittableRandom random = new SplittableRandom(seed);
        StringBuilder name = new StringBuilder();
        String special = "\"\\*{}./ \n\r\tre//`\u202E\uFEFF\uD800é名";
        for (int i = 0; i < 12; i++) {
            if (random.nextBoolean()) {
                name.append(special.charAt(random.nextInt(special.length())));
            } else {
                name.appendCodePoint(random.nextInt(0x110000));
            }
        }
        ParamRule rule = ParamRule.of(Glob.exact(name.toString()), Optional.empty(), List.of());
        String text = Ucl.format(Spec.of(List.of(Commented.of(rule))));
        assertThat(text.lines()).hasSize(3);
        Glob read =
                (Glob)
                        Ucl.parse(SourceText.of("x.ucl", text))
                                .params()
                                .getFirst()
                                .patterns()
                                .getFirst();
        assertThat(read.pieces()).isEqualTo(Glob.exact(name.toString()).pieces());
    }
}
