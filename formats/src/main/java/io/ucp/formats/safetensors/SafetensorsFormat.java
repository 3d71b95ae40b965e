package io.ucp.formats.safetensors;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.WritingOptions;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Models as Hugging Face's libraries keep them: weights in safetensors files, `config.json` and
/// the tokenizer beside them.
public final class SafetensorsFormat implements CheckpointFormat {
    static final String NAME = "safetensors";

    private static final Pattern TRAINER = Pattern.compile("checkpoint-(\\d{1,18})");

    @Override
    public String name() {
        return NAME;
    }

    /// After the formats of frameworks that put weights of this form beside their own.
    @Override
    public int precedence() {
        return 70;
    }

    @Override
    public Set<String> options() {
        return WritingOptions.NAMES;
    }

    /// A file, a folder of a model, or the trainer's `checkpoint-N` folders, the newest first.
    @Override
    public List<Candidate> find(Path path) throws IOException {
        Optional<ModelFolder> folder = ModelFolder.of(path);
        if (folder.isPresent()) {
            return List.of(
                    new Candidate(
                            NAME, folder.get().place(path), tagOf(folder.get().place(path)), ""));
        }
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        List<Path> steps;
        try (Stream<Path> entries = Files.list(path)) {
            steps =
                    entries.filter(p -> stepOf(p) >= 0)
                            .filter(Files::isDirectory)
                            .sorted(Comparator.comparingLong(SafetensorsFormat::stepOf).reversed())
                            .toList();
        }
        List<Candidate> found = new ArrayList<>();
        for (Path step : steps) {
            if (ModelFolder.of(step).isPresent()) {
                String pointer = found.isEmpty() ? "the last step" : "";
                found.add(new Candidate(NAME, step, tagOf(step), pointer));
            }
        }
        return found;
    }

    private static long stepOf(Path path) {
        Matcher matcher = TRAINER.matcher(path.getFileName().toString());
        return matcher.matches() ? Long.parseLong(matcher.group(1)) : -1;
    }

    private static String tagOf(Path path) {
        Path name = path.toAbsolutePath().normalize().getFileName();
        String text = name == null ? "model" : name.toString();
        if (text.endsWith(ModelFolder.INDEX_SUFFIX)) {
            text = text.substring(0, text.length() - ModelFolder.INDEX_SUFFIX.length());
        }
        return text.endsWith(ModelFolder.SUFFIX)
                ? text.substring(0, text.length() - ModelFolder.SUFFIX.length())
                : text;
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        return SafetensorsIndex.of(candidate);
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        return SafetensorsLayout.of(request);
    }
}
