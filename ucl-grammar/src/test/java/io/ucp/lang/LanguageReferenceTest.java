package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Runs the examples of the language reference: `ucl` blocks are whole specs, `ucl statements` and
/// `ucl clauses` stand in a frame, and after `ucl wrong` the next block says the errors.
class LanguageReferenceTest {
    private static final Path REFERENCE = Path.of("../docs/language.md");

    private static final String FRAME =
            """
            ucl 1
            mesh (pp, dp = (edp, ep), tp, cp)
            states adam { fp32, exp_avg, exp_avg_sq: flatten over dp; step: scalar }
            """;

    private record Block(String kind, int line, String text) {
        String name() {
            return "language.md:" + line + " " + kind;
        }
    }

    @TestFactory
    Stream<DynamicTest> everyExampleIsRight() throws IOException {
        List<Block> blocks = blocks();
        List<DynamicTest> tests = new ArrayList<>();
        for (int i = 0; i < blocks.size(); i++) {
            Block block = blocks.get(i);
            switch (block.kind) {
                case "ucl" -> tests.add(reads(block, block.text));
                case "ucl statements" -> tests.add(reads(block, FRAME + block.text));
                case "ucl clauses" ->
                        tests.addAll(block.text.lines().map(line -> clause(block, line)).toList());
                case "ucl wrong" -> {
                    Block errors = blocks.get(i + 1);
                    tests.add(dynamicTest(block.name(), () -> fails(block, errors)));
                }
                default -> {}
            }
        }
        assertThat(tests).hasSizeGreaterThan(30);
        return tests.stream();
    }

    /// Each line is the body of a rule of its own.
    private static DynamicTest clause(Block block, String line) {
        return reads(block, FRAME + "param \"{l}.{e}.x\" : [a, b] {\n" + line + "\n}\n");
    }

    private static DynamicTest reads(Block block, String text) {
        return dynamicTest(
                block.name(),
                () -> {
                    SourceText source = SourceText.of(block.name(), text);
                    assertThat(Ucl.parse(source).statements()).isNotEmpty();
                });
    }

    private static void fails(Block block, Block errors) {
        SourceText source = SourceText.of("llama.ucl", block.text);
        SpecException e = catchThrowableOfType(SpecException.class, () -> Ucl.parse(source));
        assertThat(e).as(block.name()).isNotNull().hasMessage(errors.text.stripTrailing());
    }

    @Test
    void everyWordOfTheLanguageIsExplained() throws IOException {
        String grammar = Files.readString(Path.of("src/main/antlr4/io/ucp/lang/internal/Ucl.g4"));
        String reference = Files.readString(REFERENCE);
        Matcher word = Pattern.compile("'([A-Za-z][\\w-]+)'").matcher(grammar);
        List<String> missing = new ArrayList<>();
        while (word.find()) {
            if (!Pattern.compile("\\b" + word.group(1) + "\\b").matcher(reference).find()) {
                missing.add(word.group(1));
            }
        }
        assertThat(missing).isEmpty();
    }

    private static List<Block> blocks() throws IOException {
        List<Block> blocks = new ArrayList<>();
        String kind = "";
        int start = 0;
        StringBuilder text = new StringBuilder();
        List<String> lines = Files.readAllLines(REFERENCE);
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            if (start > 0 && line.equals("```")) {
                blocks.add(new Block(kind, start, text.toString()));
                start = 0;
            } else if (start > 0) {
                text.append(line).append('\n');
            } else if (line.startsWith("```")) {
                kind = line.substring(3);
                start = i + 1;
                text.setLength(0);
            }
        }
        assertThat(start).as("an open block in %s", REFERENCE).isZero();
        return blocks;
    }
}
