package io.ucp.formats.statedict;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.TrainerFolders;
import io.ucp.formats.hub.WritingOptions;
import io.ucp.formats.torch.TorchFolder;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/// State dicts as `torch.save` writes them.
public final class StateDictFormat implements CheckpointFormat {
    static final String NAME = "torch";

    @Override
    public String name() {
        return NAME;
    }

    /// After every format that has torch files of its own, and after safetensors, which libraries
    /// take first.
    @Override
    public int precedence() {
        return 80;
    }

    @Override
    public Set<String> options() {
        return WritingOptions.NAMES;
    }

    /// A file, `pytorch_model.bin` or its parts, else each torch file of a folder that no framework
    /// wrote; or the trainer's `checkpoint-N` folders, the newest first.
    @Override
    public List<Candidate> find(Path path) throws IOException {
        List<WeightFiles> files = WeightFiles.in(path);
        List<Candidate> found = new ArrayList<>();
        for (WeightFiles each : files) {
            String pointer = files.size() > 1 ? NO_POINTER : "";
            found.add(new Candidate(NAME, each.place(path), tagOf(each.place(path)), pointer));
        }
        if (!found.isEmpty()) {
            return found;
        }
        for (Path step : TrainerFolders.of(path)) {
            List<WeightFiles> inside = WeightFiles.in(step);
            if (inside.size() == 1 && inside.getFirst().isFolder(step)) {
                String pointer = found.isEmpty() ? "the last step" : "";
                found.add(new Candidate(NAME, step, tagOf(step), pointer));
            }
        }
        return found;
    }

    private static String tagOf(Path path) {
        Path name = path.toAbsolutePath().normalize().getFileName();
        return name == null ? "model" : name.toString().replaceFirst("\\.(?:pt|pth|bin|ckpt)$", "");
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        return StateDictIndex.of(candidate);
    }

    @Override
    public List<Checksummed> checksums(CheckpointIndex index, Collection<ByteSource> read)
            throws IOException {
        return TorchFolder.checksums(read);
    }

    @Override
    public List<Finding> damage(CheckpointIndex index) throws IOException {
        return StateDictIndex.damage(index);
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        return StateDictLayout.of(request);
    }
}
