package io.ucp.formats.safetensors;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.TrainerFolders;
import io.ucp.formats.hub.WritingOptions;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Models as Hugging Face's libraries keep them: weights in safetensors files, `config.json` and
/// the tokenizer beside them.
public final class SafetensorsFormat implements CheckpointFormat {
    static final String NAME = "safetensors";

    @Override
    public String name() {
        return NAME;
    }

    /// After the formats of frameworks that put weights of this form beside their own.
    @Override
    public int precedence() {
        return 75;
    }

    @Override
    public String naming() {
        return HUGGING_FACE;
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
        List<Candidate> found = new ArrayList<>();
        for (Path step : TrainerFolders.of(path)) {
            if (ModelFolder.of(step).isPresent()) {
                String pointer = found.isEmpty() ? "the last step" : "";
                found.add(new Candidate(NAME, step, tagOf(step), pointer));
            }
        }
        return found;
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
