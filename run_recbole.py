"""RecBole's familiar command with our models: ``python run_recbole.py --model=VAGNN --dataset=ml-100k-director``."""

from recbole_vagnn.cli import run

if __name__ == "__main__":
    run(prog_name="run_recbole.py")
