package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.parity.Health;
import io.ucp.parity.Health.FileDamage;

import java.io.IOException;
import java.io.PrintWriter;

/// What `scrub` found, and `repair` before it began.
final class HealthReport {
    private HealthReport() {}

    static void print(PrintWriter out, Health health) {
        Table table = new Table("file", "of", "damage");
        for (FileDamage damage : health.damages()) {
            table.row(damage.path(), damage.parity() ? "parity" : "checkpoint", damage.what());
        }
        if (!table.isEmpty()) {
            table.print(out, Terminal.out());
        }
    }

    /// `"bytes": .., "damages": [..], "repairable": ..`.
    static void write(JsonGenerator json, Health health) throws IOException {
        json.writeNumberField("bytes", health.bytes());
        Json.objects(
                json,
                "damages",
                health.damages(),
                (fields, damage) -> {
                    fields.writeStringField("file", damage.path().toString());
                    fields.writeBooleanField("parity", damage.parity());
                    fields.writeBooleanField("written", damage.written());
                    fields.writeStringField("what", damage.what());
                    Json.objects(
                            fields,
                            "ranges",
                            damage.ranges(),
                            (range, span) -> {
                                range.writeNumberField("from", span.from());
                                range.writeNumberField("to", span.to());
                            });
                });
        json.writeBooleanField("repairable", health.repairable());
        if (health.missing().isPresent()) {
            json.writeStringField("hint", health.missing().get());
        }
    }
}
