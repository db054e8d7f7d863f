"""What a project starts from: whole params.yaml files, the graph (`graph.yaml` is dvc.yaml) and recipes.yaml."""
