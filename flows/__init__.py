"""What this project deploys: one flow for each entry of prefect.yaml."""
