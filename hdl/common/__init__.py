"""What several rooms use: buses, arithmetic, small storage, and Verilog generation."""
