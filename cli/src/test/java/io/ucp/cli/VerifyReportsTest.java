package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.ucp.convert.Verification.Difference;
import io.ucp.convert.Verification.Verdict;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;

import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import javax.xml.parsers.DocumentBuilderFactory;

final class VerifyReportsTest {
    private static final Path SOURCE = Run.sample("gpt2-zero2-tied-frozen");

    /// Names and findings as nobody should have them.
    private static final VerdictReport ODD =
            new VerdictReport(
                    "a folder/100%",
                    List.of("w<1>&\"'/fp32", "x/fp32"),
                    new Verdict(
                            List.of(
                                    new Difference("w<1>&\"'", "fp32", "it differs,\nhere\u0001"),
                                    new Difference("file,a:b", "", "100% gone")),
                            2,
                            8,
                            List.of("a note")));

    @TempDir private Path folder;

    private static String text(VerdictReport.Kind kind) {
        StringWriter out = new StringWriter();
        ODD.write(kind, new PrintWriter(out, true));
        return out.toString().replace(System.lineSeparator(), "\n");
    }

    @Test
    void junitHasACaseForEveryState() throws Exception {
        Document xml =
                DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(
                                new ByteArrayInputStream(
                                        text(VerdictReport.Kind.junit)
                                                .getBytes(StandardCharsets.UTF_8)));
        assertThat(xml.getElementsByTagName("testcase").getLength()).isEqualTo(3);
        assertThat(xml.getElementsByTagName("failure").getLength()).isEqualTo(2);
        assertThat(
                        xml.getElementsByTagName("failure")
                                .item(0)
                                .getAttributes()
                                .getNamedItem("message")
                                .getNodeValue())
                .isEqualTo("it differs,\nhere\uFFFD");
        assertThat(
                        xml.getElementsByTagName("testsuite")
                                .item(0)
                                .getAttributes()
                                .getNamedItem("failures")
                                .getNodeValue())
                .isEqualTo("2");
    }

    @Test
    void sarifHasAResultForEveryDifference() throws Exception {
        JsonNode run = new ObjectMapper().readTree(text(VerdictReport.Kind.sarif)).at("/runs/0");
        assertThat(run.at("/tool/driver/name").asText()).isEqualTo("ucp verify");
        assertThat(run.at("/results")).hasSize(2);
        assertThat(run.at("/results/0/ruleId").asText())
                .isEqualTo(run.at("/tool/driver/rules/0/id").asText());
        assertThat(run.at("/results/0/locations/0/physicalLocation/artifactLocation/uri").asText())
                .isEqualTo("a%20folder/100%25");
        assertThat(run.at("/results/1/locations/0/logicalLocations/0/fullyQualifiedName").asText())
                .isEqualTo("file,a:b");
    }

    @Test
    void githubHasALineForEveryDifference() {
        assertThat(text(VerdictReport.Kind.github))
                .isEqualTo(
                        """
                        ::error title=ucp verify a folder/100%25::w<1>&"'/fp32: it differs,%0Ahere\u0001
                        ::error title=ucp verify a folder/100%25::file,a:b: 100%25 gone
                        ::notice title=ucp verify a folder/100%25::a note
                        """);
    }

    @Test
    void standardOutputIsOfOneReport() {
        for (String[] reports :
                List.of(
                        new String[] {"json=-", "--json", "standard output"},
                        new String[] {"json=-", "--report=text=-", "standard output"},
                        new String[] {"json=a", "--report=json=b", "--report json twice"})) {
            assertThat(
                            Run.ucp("verify", SOURCE, "--report", reports[0], reports[1])
                                    .endsWith(ExitCode.USAGE)
                                    .err())
                    .contains(reports[2]);
        }
    }

    @Test
    void reportsGoToFilesBesideTheText() {
        Path junit = folder.resolve("junit.xml");
        Path json = folder.resolve("verdict.json");
        Run run =
                Run.ucp("verify", SOURCE, "--report", "junit=" + junit, "--report", "json=" + json)
                        .isDone();
        assertThat(run.out()).contains("whole: ");
        assertThat(junit).content().contains("failures=\"0\"");
        assertThat(json).content().contains("\"equal\": true");
    }

    @Test
    void whatCannotBeReadIsReportedToo() throws Exception {
        Path junit = Files.writeString(folder.resolve("junit.xml"), "of yesterday");
        Path sarif = folder.resolve("verdict.sarif");
        Path cut = Files.createDirectory(folder.resolve("cut"));
        Files.writeString(cut.resolve("model.safetensors"), "half");
        Run run =
                Run.ucp(
                                "verify",
                                cut,
                                "--report",
                                "junit=" + junit,
                                "--report",
                                "sarif=" + sarif,
                                "--report",
                                "github=-")
                        .endsWith(ExitCode.MALFORMED_INPUT);
        assertThat(run.out()).startsWith("::error title=ucp verify " + cut + "::");
        assertThat(run.err()).contains("model.safetensors");
        assertThat(junit).content().contains("failures=\"1\"").contains("model.safetensors");
        assertThat(sarif).content().contains("model.safetensors");
    }

    @Test
    void whereAReportCannotGoIsToldFirst() {
        Path report = folder.resolve("none/junit.xml");
        Run run =
                Run.ucp("verify", folder.resolve("no checkpoint"), "--report", "junit=" + report)
                        .endsWith(ExitCode.IO);
        assertThat(run.err()).contains(report.getParent() + ": no such file or folder");
    }

    @Test
    void oneReportMayBeStandardOutput() {
        assertThat(Run.ucp("verify", SOURCE, "--report", "sarif=-").isDone().out())
                .startsWith("{\n  \"$schema\"");
    }

    @Test
    void digestsAreRecordedAndHeldAgainstAnotherFormat() {
        Path digests = folder.resolve("digests.json");
        Path out = folder.resolve("out");
        Run.ucp("digest", SOURCE, "--record", digests).isDone();
        Run.ucp("convert", SOURCE, "-o", out, "--to", "universal").isDone();
        assertThat(Run.ucp("verify", out, "--against", digests).isDone().out()).contains("whole: ");
        assertThat(
                        Run.ucp("verify", Run.sample("llama-zero3-dp4"), "--against", digests)
                                .endsWith(ExitCode.DIFFERENCE)
                                .out())
                .contains("recorded, and not in the checkpoint");
    }

    @Test
    void aRecordIsReplacedWholeOrNotAtAll() throws Exception {
        Path digests = folder.resolve("digests.json");
        Run.ucp("digest", SOURCE, "--record", digests).isDone();
        String first = Files.readString(digests);
        Path cut = Files.createDirectory(folder.resolve("cut"));
        Files.writeString(cut.resolve("model.safetensors"), "half");
        Run.ucp("digest", cut, "--record", digests).endsWith(ExitCode.MALFORMED_INPUT);
        assertThat(digests).hasContent(first);
        Run.ucp("digest", SOURCE, "--record", digests).isDone();
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files).containsExactlyInAnyOrder(digests, cut);
        }
        Path nowhere = folder.resolve("none/digests.json");
        assertThat(
                        Run.ucp("digest", folder.resolve("none"), "--record", nowhere)
                                .endsWith(ExitCode.IO)
                                .err())
                .startsWith("ucp digest: " + nowhere.getParent() + ": no such file");
    }

    @Test
    void filesAreRecordedToo() throws Exception {
        Path digests = folder.resolve("digests.json");
        Path copy = Files.createDirectory(folder.resolve("copy"));
        try (Stream<Path> files = Files.list(Run.sample("hf-gpt2-tied"))) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(file.getFileName().toString()));
            }
        }
        Run.ucp("digest", copy, "--record", digests, "--files").isDone();
        Run.ucp("verify", copy, "--against", digests).isDone();
        Path config = copy.resolve("config.json");
        Files.writeString(config, Files.readString(config).replace("12", "13"));
        Files.createFile(copy.resolve("more.txt"));
        Files.delete(copy.resolve("generation_config.json"));
        assertThat(
                        Run.ucp("verify", copy, "--against", digests)
                                .endsWith(ExitCode.DIFFERENCE)
                                .out())
                .contains("config.json", "its bytes have digest")
                .contains("more.txt", "in the checkpoint, and not recorded")
                .contains("generation_config.json", "recorded, and not in the checkpoint");
        assertThat(Run.ucp("digest", copy, "--files").endsWith(ExitCode.USAGE).err())
                .contains("expected --record FILE with it");
    }

    @Test
    void numbersAreMeasuredOnRequest() throws Exception {
        Run run = Run.ucp("verify", SOURCE, "--numeric", "--ignore", "zero,constant", "--json");
        assertThat(run.json().at("/numeric/0/elements").asLong()).isPositive();
        assertThat(run.json().at("/numeric/0/nan").asLong()).isZero();
    }

    @Test
    void whatIsOfOneCheckpointTakesNoSecond() {
        assertThat(Run.ucp("verify", SOURCE, SOURCE, "--numeric").endsWith(ExitCode.USAGE).err())
                .contains("expected no second one");
    }

    @Test
    void whatNumericMindsIsSaidWithItAndBeforeAnythingIsRead() {
        Path none = folder.resolve("no checkpoint");
        assertThat(Run.ucp("verify", none, "--max-drift", "2").endsWith(ExitCode.USAGE).err())
                .contains("expected --numeric with them");
        assertThat(
                        Run.ucp("verify", none, "--numeric", "--max-denormals", "2")
                                .endsWith(ExitCode.USAGE)
                                .err())
                .contains("--max-denormals is 2.0; expected 0 to 1");
    }

    @Test
    void diffEndsWith1WhereSomethingDiffers() throws Exception {
        assertThat(Run.ucp("diff", SOURCE, SOURCE).isDone().out()).startsWith("equal: ");
        Run run =
                Run.ucp("diff", SOURCE, Run.sample("llama-zero3-dp4"), "--json")
                        .endsWith(ExitCode.DIFFERENCE);
        assertThat(run.json().at("/equal").asBoolean()).isFalse();
        assertThat(run.json().at("/differences/0/what").asText()).contains("only the first");
        assertThat(
                        Run.ucp("diff", SOURCE, SOURCE, "--tolerance", "-1")
                                .endsWith(ExitCode.USAGE)
                                .err())
                .contains("--tolerance is -1.0; expected 0 or more");
    }
}
