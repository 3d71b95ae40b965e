package io.ucp.formats.hub;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;

import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainName;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/// The index of a model in several files, as it lies on disk: which file holds which tensor.
///
/// ```
/// {"metadata": {"total_size": BYTES, ..}, "weight_map": {TENSOR: FILE, ..}}
/// ```
///
/// Source: transformers `modeling_utils.py` (`save_pretrained`), huggingface_hub
/// `serialization/_torch.py`.
///
/// @param path of the index
/// @param totalSize bytes of all tensors, absent where the index does not say
/// @param places tensor -> where it is said to be, in the order of the index
public record WeightMap(Path path, OptionalLong totalSize, Map<String, Place> places) {
    private static final int LARGEST = 1 << 30;
    private static final String COPY = "copy the index again from where the model was written";

    public WeightMap {
        places = Collections.unmodifiableMap(new LinkedHashMap<>(places));
    }

    /// @param file a name in the folder of the index
    /// @param at where the index says it, in bytes from its start
    public record Place(String file, long at) {}

    /// The files, in the order in which they are first named.
    public Set<String> files() {
        Set<String> files = new LinkedHashSet<>();
        places.values().forEach(place -> files.add(place.file()));
        return files;
    }

    /// What one of the files holds.
    ///
    /// @param tensors name -> where the file says so, in bytes from its start, or -1
    public record Holder(Path file, Map<String, Long> tensors) {}

    /// @throws MalformedFileException where a file is not beside the index
    public void requireFiles() throws MalformedFileException {
        for (Map.Entry<String, Place> tensor : places.entrySet()) {
            String file = tensor.getValue().file();
            if (!Files.isRegularFile(path.resolveSibling(file))) {
                throw wrong(
                        tensor.getKey(),
                        "'%s' in %s, which is not there".formatted(tensor.getKey(), file),
                        "the file beside the index");
            }
        }
    }

    /// Holds the index against what its files hold.
    ///
    /// @throws MalformedFileException where they contradict each other
    public void agree(List<Holder> holders) throws MalformedFileException {
        Set<String> held = new HashSet<>();
        for (Holder holder : holders) {
            for (Map.Entry<String, Long> tensor : holder.tensors().entrySet()) {
                String name = tensor.getKey();
                held.add(name);
                Place place = places.get(name);
                if (place == null || !holder.file().endsWith(place.file())) {
                    throw new MalformedFileException(
                            holder.file(),
                            tensor.getValue(),
                            "'%s', which %s"
                                    .formatted(
                                            name,
                                            place == null
                                                    ? "the index does not name"
                                                    : "the index has in " + place.file()),
                            "the tensors that %s has here".formatted(path.getFileName()),
                            "copy the model again from where it was written");
                }
            }
        }
        for (Map.Entry<String, Place> tensor : places.entrySet()) {
            if (!held.contains(tensor.getKey())) {
                throw wrong(
                        tensor.getKey(),
                        "'%s' in %s, which does not hold it"
                                .formatted(tensor.getKey(), tensor.getValue().file()),
                        "the file that holds it");
            }
        }
    }

    private MalformedFileException wrong(String tensor, String found, String expected) {
        Place place = places.get(tensor);
        return new MalformedFileException(
                path, place == null ? -1 : place.at(), found, expected, COPY);
    }

    /// @throws MalformedFileException where it is no index, or names a file outside of its folder
    public static WeightMap read(Path path) throws IOException {
        long size = Files.size(path);
        if (size > LARGEST) {
            throw malformed(path, 0, "%d bytes".formatted(size), "an index of less than 1 GiB");
        }
        Reading reading = new Reading(path, JsonText.parser(WholeFile.read(path)));
        try {
            reading.all();
        } catch (JsonProcessingException e) {
            long at = e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getByteOffset());
            throw malformed(path, at, "not JSON: " + e.getOriginalMessage(), "an index");
        }
        return new WeightMap(path, reading.totalSize, reading.places);
    }

    private static MalformedFileException malformed(
            Path path, long at, String found, String expected) {
        return new MalformedFileException(path, at, found, expected, COPY);
    }

    private static final class Reading {
        private final Path path;
        private final JsonParser json;
        private final Map<String, Place> places = new LinkedHashMap<>();
        private OptionalLong totalSize = OptionalLong.empty();
        private boolean mapped;

        Reading(Path path, JsonParser json) {
            this.path = path;
            this.json = json;
        }

        private void all() throws IOException {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw malformed(path, 0, "no JSON object", "an index with a weight_map");
            }
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String name = json.currentName();
                long at = at();
                JsonToken value = json.nextToken();
                if (name.equals("weight_map")) {
                    if (value != JsonToken.START_OBJECT || mapped) {
                        throw malformed(
                                path,
                                at,
                                mapped ? "a second weight_map" : "a weight_map that is no object",
                                "one, with a file for each tensor");
                    }
                    mapped = true;
                    places();
                } else if (name.equals("metadata") && value == JsonToken.START_OBJECT) {
                    metadata();
                } else {
                    json.skipChildren();
                }
            }
            if (!mapped) {
                throw malformed(path, 0, "no weight_map", "one, with a file for each tensor");
            }
        }

        private void metadata() throws IOException {
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                boolean total = json.currentName().equals("total_size");
                JsonToken value = json.nextToken();
                if (total && value != null && value.isNumeric()) {
                    double number = json.getDoubleValue();
                    totalSize =
                            number >= 0 && number < Long.MAX_VALUE && number == Math.rint(number)
                                    ? OptionalLong.of(
                                            value == JsonToken.VALUE_NUMBER_INT
                                                    ? json.getLongValue()
                                                    : (long) number)
                                    : OptionalLong.empty();
                }
                json.skipChildren();
            }
        }

        private void places() throws IOException {
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String tensor = json.currentName();
                long at = at();
                if (json.nextToken() != JsonToken.VALUE_STRING) {
                    throw malformed(
                            path, at, "no file for '%s'".formatted(tensor), "a file's name");
                }
                String file = json.getText();
                if (!PlainName.is(file)) {
                    throw malformed(
                            path,
                            at,
                            "'%s' in '%s'".formatted(tensor, file),
                            "the name of a file beside the index");
                }
                if (places.put(tensor, new Place(file, at)) != null) {
                    throw malformed(
                            path, at, "'%s' a second time".formatted(tensor), "each tensor once");
                }
            }
        }

        private long at() {
            return Math.max(0, json.currentTokenLocation().getByteOffset());
        }
    }
}
