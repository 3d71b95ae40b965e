package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.Verification.Difference;
import io.ucp.convert.Verification.Verdict;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/// What `ucp verify` found, in the forms that CI systems take.
///
/// @param checkpoint that was verified
/// @param checked the states, as `parameter/state`
record VerdictReport(String checkpoint, List<String> checked, Verdict verdict) {
    private static final int SHOWN = 20;

    /// What XML 1.0 has no way to write.
    private static final Pattern UNWRITABLE =
            Pattern.compile("[^\\t\\n\\r\\x20-\\x{D7FF}\\x{E000}-\\x{FFFD}\\x{10000}-\\x{10FFFF}]");

    /// The forms of a report.
    enum Kind {
        text,
        json,
        junit,
        sarif,
        github
    }

    void write(Kind kind, PrintWriter out) {
        switch (kind) {
            case text -> text(out, new Terminal(false, 1000, false), true, Optional.empty());
            case json -> json(out, _ -> {});
            case junit -> junit(out);
            case sarif -> sarif(out);
            case github -> github(out);
        }
        out.flush();
    }

    /// @param all whether every difference is named
    /// @param good the word for all is well; where absent, `whole`
    void text(PrintWriter out, Terminal terminal, boolean all, Optional<String> good) {
        if (!verdict.equal()) {
            Table table = new Table("parameter", "state", "difference");
            verdict.differences().stream()
                    .limit(all ? verdict.differences().size() : SHOWN)
                    .forEach(
                            difference ->
                                    table.row(
                                            difference.parameter(),
                                            difference.state(),
                                            difference.what()));
            table.print(out, terminal);
            int more = verdict.differences().size() - SHOWN;
            if (!all && more > 0) {
                out.println("and %d more; --all names them".formatted(more));
            }
        }
        SourceReport.notes(out, terminal, "note", verdict.notes());
        String counted =
                "%s, %s"
                        .formatted(
                                Quantity.count(verdict.states(), "state"),
                                Quantity.bytes(verdict.bytes()));
        out.println(
                verdict.equal()
                        ? terminal.good(good.orElse("whole")) + ": " + counted
                        : terminal.warning(good.isPresent() ? "different" : "damaged")
                                + ": %s in %s"
                                        .formatted(
                                                Quantity.count(
                                                        verdict.differences().size(), "difference"),
                                                counted));
    }

    /// @param more fields
    void json(PrintWriter out, Json.Fields more) {
        Json.print(
                out,
                json -> {
                    json.writeBooleanField("equal", verdict.equal());
                    json.writeNumberField("states", verdict.states());
                    json.writeNumberField("bytes", verdict.bytes());
                    Json.objects(json, "differences", verdict.differences(), VerdictReport::write);
                    Json.texts(json, "notes", verdict.notes());
                    more.write(json);
                });
    }

    static void write(JsonGenerator json, Difference difference) throws IOException {
        json.writeStringField("parameter", difference.parameter());
        json.writeStringField("state", difference.state());
        json.writeStringField("what", difference.what());
    }

    /// A test case for every state, and one for every file or parameter that something else is
    /// wrong with.
    private void junit(PrintWriter out) {
        Map<String, List<String>> cases = new LinkedHashMap<>();
        checked.forEach(state -> cases.put(state, new ArrayList<>()));
        for (Difference d : verdict.differences()) {
            cases.computeIfAbsent(name(d), _ -> new ArrayList<>()).add(d.what());
        }
        long failures = cases.values().stream().filter(f -> !f.isEmpty()).count();
        out.println("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        out.println(
                "<testsuites><testsuite name=\"ucp verify %s\" tests=\"%d\" failures=\"%d\" errors=\"0\">"
                        .formatted(xml(checkpoint), cases.size(), failures));
        cases.forEach(
                (name, failed) -> {
                    String start =
                            "<testcase classname=\"%s\" name=\"%s\""
                                    .formatted(xml(checkpoint), xml(name));
                    if (failed.isEmpty()) {
                        out.println(start + "/>");
                    } else {
                        out.println(
                                start
                                        + "><failure message=\"%s\"/></testcase>"
                                                .formatted(xml(String.join("; ", failed))));
                    }
                });
        out.println("</testsuite></testsuites>");
    }

    private static String name(Difference difference) {
        return difference.state().isEmpty()
                ? difference.parameter()
                : difference.parameter() + "/" + difference.state();
    }

    private static String xml(String text) {
        return UNWRITABLE
                .matcher(text)
                .replaceAll("\uFFFD")
                .replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;")
                .replace("\n", "&#10;")
                .replace("\r", "&#13;")
                .replace("\t", "&#9;");
    }

    /// SARIF 2.1.0, as code scanners report.
    private void sarif(PrintWriter out) {
        Json.print(
                out,
                json -> {
                    json.writeStringField(
                            "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
                    json.writeStringField("version", "2.1.0");
                    json.writeArrayFieldStart("runs");
                    Json.object(
                            json,
                            run -> {
                                Json.object(
                                        run,
                                        "tool",
                                        tool -> Json.object(tool, "driver", VerdictReport::driver));
                                Json.objects(run, "results", verdict.differences(), this::result);
                            });
                    json.writeEndArray();
                });
    }

    private static void driver(JsonGenerator json) throws IOException {
        json.writeStringField("name", "ucp verify");
        json.writeArrayFieldStart("rules");
        Json.object(
                json,
                rule -> {
                    rule.writeStringField("id", "checkpoint-differs");
                    Json.object(
                            rule,
                            "shortDescription",
                            text ->
                                    text.writeStringField(
                                            "text", "A checkpoint is not what it should be."));
                });
        json.writeEndArray();
    }

    private void result(JsonGenerator json, Difference difference) throws IOException {
        json.writeStringField("ruleId", "checkpoint-differs");
        json.writeStringField("level", "error");
        Json.object(
                json,
                "message",
                text -> text.writeStringField("text", name(difference) + ": " + difference.what()));
        json.writeArrayFieldStart("locations");
        Json.object(
                json,
                location -> {
                    Json.object(
                            location,
                            "physicalLocation",
                            place ->
                                    Json.object(
                                            place,
                                            "artifactLocation",
                                            file -> file.writeStringField("uri", uri())));
                    location.writeArrayFieldStart("logicalLocations");
                    Json.object(
                            location,
                            logical ->
                                    logical.writeStringField(
                                            "fullyQualifiedName", name(difference)));
                    location.writeEndArray();
                });
        json.writeEndArray();
    }

    private String uri() {
        StringBuilder uri = new StringBuilder();
        for (byte b : checkpoint.getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (b & 0xff);
            boolean plain =
                    (c >= 'a' && c <= 'z')
                            || (c >= 'A' && c <= 'Z')
                            || (c >= '0' && c <= '9')
                            || "/-_.~".indexOf(c) >= 0;
            if (plain) {
                uri.append(c);
            } else {
                uri.append("%%%02X".formatted((int) c));
            }
        }
        return uri.toString();
    }

    /// Workflow commands that GitHub shows beside the job.
    private void github(PrintWriter out) {
        for (Difference d : verdict.differences()) {
            out.println(
                    "::error title=ucp verify %s::%s"
                            .formatted(property(checkpoint), command(name(d) + ": " + d.what())));
        }
        for (String note : verdict.notes()) {
            out.println(
                    "::notice title=ucp verify %s::%s"
                            .formatted(property(checkpoint), command(note)));
        }
    }

    private static String command(String text) {
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A");
    }

    private static String property(String text) {
        return command(text).replace(":", "%3A").replace(",", "%2C");
    }
}
