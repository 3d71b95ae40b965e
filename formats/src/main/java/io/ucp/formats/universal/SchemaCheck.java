package io.ucp.formats.universal;

import com.fasterxml.jackson.core.JsonProcessingException;

import io.ucp.formats.universal.StateFileCheck.Tensor;
import io.ucp.formats.universal.StateFileFaults.Region;

import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.arrow.flatbuf.Schema;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/// Holds the schema of a state file, its one column and its index of tensors, against the manifest.
final class SchemaCheck {
    private final Manifest.ArrowFile file;
    private final StateFileFaults faults;

    SchemaCheck(Manifest.ArrowFile file, StateFileFaults faults) {
        this.file = file;
        this.faults = faults;
    }

    /// @param where the schema lies in the file
    /// @param tensors all of the file
    void require(Region where, Schema schema, List<Tensor> tensors) throws IOException {
        faults.require(where, schema.endianness() == Endianness.Little, "big-endian values");
        faults.require(
                where, schema.fieldsLength() == 1, "%d columns".formatted(schema.fieldsLength()));
        Field field = schema.fields(0);
        if (file.compression() == Compression.SHUFFLED) {
            int bytes = file.dtype().width();
            column(where, field, ArrowFraming.COLUMN, ColumnType.STRUCT, bytes);
            for (int p = 0; p < bytes; p++) {
                column(where, field.children(p), ArrowFraming.plane(p), ColumnType.BYTE, 0);
            }
        } else {
            column(where, field, ArrowFraming.COLUMN, ColumnType.of(file.dtype()), 0);
        }
        String index = null;
        for (int i = 0; i < schema.customMetadataLength(); i++) {
            KeyValue entry = schema.customMetadata(i);
            index = ArrowFraming.INDEX_KEY.equals(entry.key()) ? entry.value() : index;
        }
        if (index == null) {
            throw faults.wrong(
                    where.offset(), "no index of tensors", "metadata \"ucp\" in the schema");
        }
        index(where, index, tensors);
    }

    private void column(Region where, Field field, String name, ColumnType type, int children)
            throws IOException {
        faults.require(where, name.equals(field.name()), "a column \"%s\"".formatted(field.name()));
        faults.require(where, !field.nullable() && field.dictionary() == null, "a nullable column");
        faults.require(
                where,
                ColumnType.read(field).equals(type) && field.childrenLength() == children,
                "a column that does not hold " + file.dtype().torchName());
    }

    private void index(Region where, String text, List<Tensor> tensors) throws IOException {
        Object json;
        try {
            json = Json.parse(text.getBytes(StandardCharsets.UTF_8));
        } catch (JsonProcessingException e) {
            throw faults.wrong(
                    where.offset(),
                    "an index of tensors that is not JSON: " + e.getOriginalMessage(),
                    "what ucp wrote");
        }
        JsonObject index = JsonObject.of(faults.path(), "index of tensors", json);
        faults.require(where, index.number("version") == Manifest.VERSION, "another version");
        faults.require(where, index.text("state").equals(file.state()), "another state");
        faults.require(where, ManifestFacts.dtype(index) == file.dtype(), "another dtype");
        List<JsonObject> entries = index.objects("tensors");
        faults.require(
                where, entries.size() == tensors.size(), "%d tensors".formatted(entries.size()));
        for (int t = 0; t < tensors.size(); t++) {
            Tensor tensor = tensors.get(t);
            JsonObject entry = entries.get(t);
            faults.require(
                    where,
                    entry.text("name").equals(tensor.name())
                            && Arrays.equals(entry.numbers("shape"), tensor.shape().dims())
                            && entry.number("batch") == tensor.place().firstBatch()
                            && entry.number("batches") == tensor.place().batches(),
                    "tensor %d is not \"%s\"".formatted(t, tensor.name()));
        }
    }
}
